// Package agent runs the pods that are bound to one machine: it looks at what
// the API asks for and the runtime holds, asks core/podstep what to do, does it,
// and reports the status.
//
// It leaves the decisions to core/podstep and core/place, the container runtime
// to an implementation of [Runtime] (agent/cri), files to agent/volume, the
// machine's own record to agent/node, and logs and streams to agent/serving.
// docs/design/agent.md shows how these work together.
package agent
