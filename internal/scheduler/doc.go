// Package scheduler binds pods to nodes. It looks at pods without a node, asks
// core/place where they go, and writes the binding, or the condition that says
// why there is none.
//
// Step takes one pod from the queue and deals with it; Run keeps several
// workers stepping. Decisions are made one at a time under a lock and take
// microseconds; the writes that carry them out run side by side. What was
// decided counts at once, so that the next decision sees it, and is taken back
// if the write fails.
//
// Place decides about pods that an API server of the same process is about to
// store, so that those with one candidate node are stored bound.
//
// Which node suits is decided in core/place, and nowhere here. Pods that name
// another scheduler are left alone, and so are pods with scheduling gates. A
// pod's PodScheduled condition turns True by the binding itself.
package scheduler
