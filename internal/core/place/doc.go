// Package place decides where a pod may be. It answers three questions with
// the same filters:
//
//   - Eligible: should this node have the pod at all? The DaemonSet controller
//     asks it; the answer feeds desiredNumberScheduled.
//   - Fits: is there room on this node now? The scheduler asks it.
//   - Admit: may this node start the pod that was bound to it? The node agent
//     asks it last.
//
// The pod's side of the question is compiled once into a Subject and then
// asked of as many nodes as there are. Every filter is evaluated, so that an
// answer names all that stands in the way, as typed Reasons with their
// evidence.
//
// The package is pure: it keeps no time, takes no locks, writes no log and
// never changes what it is given. Turning reasons into text is left to
// internal/render; acting on a verdict, and remembering it, is left to the
// controller, the scheduler and the agent.
package place
