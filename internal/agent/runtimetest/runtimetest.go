// Package runtimetest says in tests what an agent.Runtime promises. The runtime
// behind CRI passes them, and so does the one in memory that stands in for it,
// so that what is true of the one is true of the other.
//
// It leaves what only real containers have (files, users, limits) to the tests
// of agent/cri.
package runtimetest

import (
	"testing"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/simruntime"
)

// Env is a runtime to test.
type Env struct {
	Runtime agent.Runtime
	// Reconnect gives another client of the same runtime, as an agent is that
	// starts anew.
	Reconnect func() agent.Runtime
	// Image is present. Missing is not, and cannot be pulled either.
	Image, Missing string
	// Command makes a process do what the script says. One that is started
	// succeeds at the command Ready from when it can be asked to stop.
	Command func(simruntime.Script) []string
	Ready   []string
	// Logs is the folder for the logs of pods.
	Logs string
}

// Test runs the suite. One runtime serves all of it.
func Test(t *testing.T, newRuntime func(t *testing.T) Env) {
	env := newRuntime(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, Env)
	}{
		{"SandboxLife", testSandboxLife},
		{"SandboxAttempts", testSandboxAttempts},
		{"HostNetwork", testHostNetwork},
		{"StoppedSandbox", testStoppedSandbox},
		{"Gone", testGone},
		{"Containers", testContainers},
		{"ExitCodes", testExitCodes},
		{"Attempts", testAttempts},
		{"StartError", testStartError},
		{"SideBySide", testSideBySide},
		{"Reconnect", testReconnect},
		{"TermHonoured", testTermHonoured},
		{"TermIgnored", testTermIgnored},
		{"NoGrace", testNoGrace},
		{"Overtaking", testOvertaking},
		{"Exec", testExec},
		{"ExecTimeout", testExecTimeout},
		{"Images", testImages},
		{"PullFailures", testPullFailures},
		{"Watch", testWatch},
		{"Condition", testCondition},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, env) })
	}
}
