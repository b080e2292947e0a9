// Package probe asks containers how they are: it runs their startup, liveness and
// readiness probes, counts the answers against the thresholds, and tells the
// agent when a result has changed. It runs their lifecycle handlers too, since
// these reach into containers by the same ways.
//
// It leaves what follows from a result to core/podstep, and running commands to
// the runtime.
package probe
