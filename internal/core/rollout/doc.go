// Package rollout decides the next moves of one DaemonSet: which pods to
// create, which to delete, what to report, and when to look again.
//
// [Plan] is a function of what was observed, of the time and of what it
// remembered from the last call. It runs four steps, each one function:
// classify says what every node has and is due, spend counts what the nodes
// already cost, order sorts those that wait for the budget, and act turns the
// result into a list of actions, one reason for every node, and the status.
//
// It leaves to others: whether a node is eligible (core/place), which revision
// is current (core/revision), the conversion from and to API objects (view),
// and every read, write, retry and batch limit (controller/daemonset).
package rollout
