// Package simruntime is a container runtime in memory, for the tests of whatever
// uses an agent.Runtime. It keeps sandboxes, containers and images as a real
// runtime does, and passes the suite that the real one passes (runtimetest);
// what happens inside a container, a [Script] says, which is written as the
// container's command so that a pod tells its own story:
//
//	command: [simulate, --exit-code=1, --after=30s]
//
// Time is that of a clock, which may be a fake one. It leaves files, mounts,
// networks and limits alone.
package simruntime
