// Package daemonset keeps DaemonSets: it watches, looks, asks core/revision and
// core/rollout what to do, and does it.
//
// Step takes one turn for one DaemonSet. It refuses to plan while the caches
// are behind its own last writes; then it adopts and releases, brings the
// history in order, creates and deletes pods, and writes the status. Every
// write can be repeated: names of pods are derived, deletes carry UIDs.
//
// What should happen is decided in the core; how often a DaemonSet gets its
// turn is decided here (pace.go): in proportion to what a turn costs, so that
// the price of an event does not grow with the cluster. Where a pod fits is the
// scheduler's business, and removing what a deleted DaemonSet leaves behind is
// garbage collection's.
package daemonset
