package runtimetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/garrison-project/garrison/internal/agent/simruntime"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// kill kills a new container with a script, and says how it ended and how long
// that took.
func kill(t *testing.T, env Env, script simruntime.Script, grace time.Duration) (podstep.Record, time.Duration) {
	t.Helper()
	p := newPod(t, env)
	p.createSandbox(0)
	id := p.start(0, script)
	began := time.Now()
	if err := env.Runtime.KillContainer(t.Context(), id, grace); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	c := p.record(id)
	if c.State != podstep.Exited {
		t.Fatalf("the call returned although the container did not end: %+v", c)
	}
	return c.Record, took
}

func testTermHonoured(t *testing.T, env Env) {
	c, took := kill(t, env, simruntime.Script{TermDelay: 200 * time.Millisecond, TermCode: 7}, time.Minute)
	if c.ExitCode != 7 || took > patience {
		t.Errorf("want it to end by itself with code 7, not %+v after %v", c, took)
	}
}

func testTermIgnored(t *testing.T, env Env) {
	c, took := kill(t, env, simruntime.Script{IgnoreTerm: true}, time.Second)
	if c.ExitCode != 137 || took < time.Second || took > patience {
		t.Errorf("want it killed after a second, not %+v after %v", c, took)
	}
}

func testNoGrace(t *testing.T, env Env) {
	c, took := kill(t, env, simruntime.Script{TermDelay: time.Hour}, 0)
	if c.ExitCode != 137 || took > patience {
		t.Errorf("want it killed at once, not %+v after %v", c, took)
	}
}

// A later call with less grace is what counts, and both return.
func testOvertaking(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	id := p.start(0, simruntime.Script{IgnoreTerm: true})
	first := make(chan error, 1)
	go func() { first <- env.Runtime.KillContainer(t.Context(), id, time.Hour) }()
	if err := env.Runtime.KillContainer(t.Context(), id, time.Second); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-first:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the first call does not return")
	}
	if c := p.record(id); c.State != podstep.Exited || c.ExitCode != 137 {
		t.Errorf("want it killed, not %+v", c)
	}
}

func testExec(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	id := p.start(0, simruntime.Script{})
	result, err := env.Runtime.Exec(t.Context(), id, env.Command(simruntime.Script{Ends: true, Output: "hello", ExitCode: 5}))
	if err != nil || string(result.Output) != "hello" || result.ExitCode != 5 {
		t.Errorf("want hello and code 5, not %q and %d (%v)", result.Output, result.ExitCode, err)
	}
	if err := env.Runtime.KillContainer(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := env.Runtime.Exec(t.Context(), id, env.Command(simruntime.Script{Ends: true})); err == nil {
		t.Error("a command was run in a container that had ended")
	}
}

func testExecTimeout(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	id := p.start(0, simruntime.Script{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	_, err := env.Runtime.Exec(ctx, id, env.Command(simruntime.Script{}))
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took < time.Second || took > patience {
		t.Errorf("want the deadline to be exceeded after a second, not %v after %v", err, took)
	}
}
