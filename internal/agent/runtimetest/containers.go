package runtimetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/garrison-project/garrison/internal/agent/simruntime"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

func testExitCodes(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	for attempt, want := range []struct {
		code    int32
		reason  string
		message string
	}{
		{0, "Completed", ""},
		{3, "Error", "it was not to be"},
		{255, "Error", ""},
	} {
		script := simruntime.Script{Ends: true, ExitCode: want.code, Message: want.message, After: 100 * time.Millisecond}
		c := p.ended(p.start(attempt, script))
		if c.ExitCode != want.code || c.Reason != want.reason || c.Message != want.message || c.Attempt != attempt {
			t.Errorf("want %+v, not %+v", want, c)
		}
		if lasted := c.Finished.Sub(c.Started); lasted < 0 || lasted > patience || c.Started.IsZero() {
			t.Errorf("want it to have lasted some 100 ms, not %v from %v", lasted, c.Started)
		}
	}
}

// Records of earlier attempts stay until they are removed.
func testAttempts(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	var ids []string
	for attempt := range 3 {
		id := p.start(attempt, simruntime.Script{Ends: true, ExitCode: int32(attempt)})
		p.ended(id)
		ids = append(ids, id)
	}
	if _, err := env.Runtime.StartContainer(t.Context(), p.config(2, simruntime.Script{})); reason(err) != "CreateContainerError" {
		t.Errorf("want CreateContainerError for an attempt that there was, not %v", err)
	}
	if err := env.Runtime.RemoveContainer(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	held := p.held()
	if len(held.Containers) != 2 {
		t.Fatalf("want two records, not %+v", held.Containers)
	}
	for i, c := range held.Containers {
		if c.ID != ids[i+1] || c.Attempt != i+1 || c.ExitCode != int32(i+1) {
			t.Errorf("want attempt %d, not %+v", i+1, c)
		}
	}
}

// What cannot be started leaves a record, so that it counts as an attempt.
func testStartError(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	id, err := env.Runtime.StartContainer(t.Context(), p.config(0, simruntime.Script{StartError: "no such file"}))
	if reason(err) != "RunContainerError" || id == "" {
		t.Fatalf("want RunContainerError and an ID, not %v and %q", err, id)
	}
	c := p.record(id)
	if c.State != podstep.Exited || c.Reason != "StartError" || c.ExitCode != 128 || c.Message == "" || c.Finished.IsZero() {
		t.Errorf("want an end with StartError and code 128, not %+v", c)
	}
}

func testSideBySide(t *testing.T, env Env) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p := newPod(t, env)
			p.createSandbox(0)
			if c := p.ended(p.start(0, simruntime.Script{Ends: true, ExitCode: int32(i)})); c.ExitCode != int32(i) {
				t.Errorf("want exit code %d, not %+v", i, c)
			}
		})
	}
}

// An agent that starts anew sees what the one before saw.
func testReconnect(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	p.ended(p.start(0, simruntime.Script{Ends: true, ExitCode: 3, Message: "over"}))
	p.start(1, simruntime.Script{})
	want := p.held()
	got, err := holding(t.Context(), env.Reconnect(), p.UID)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Containers) != 2 {
		t.Errorf("want two containers, not %+v", want)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another client sees something else (-first +second):\n%s", diff)
	}
}
