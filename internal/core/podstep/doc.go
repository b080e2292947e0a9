// Package podstep decides, for one pod on a real machine, the next operation on
// the container runtime, the status to report, and when to look again.
//
// [Step] is a function of the pod, of what the runtime was seen to hold, of the
// time and of what it remembered. It takes in the outcomes of operations, looks
// at every container, and then either keeps the pod running (run.go, start.go)
// or ends it (end.go); the status is derived from the same view (status.go,
// phase.go, condition.go).
//
// The runtime's own records are the truth: attempts, exit codes and times come
// from them, and even the crash-loop back-off is read from them. [Memory] holds
// what the runtime cannot tell; losing it is safe.
//
// It leaves to others: every call to the runtime, running probes and hooks,
// volumes, pulling images, credentials, logs and events (agent), the last
// check whether the node can take the pod (core/place), and the conversion from
// and to API objects (view).
package podstep
