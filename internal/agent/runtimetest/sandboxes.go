package runtimetest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/garrison-project/garrison/internal/agent/simruntime"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

func testSandboxLife(t *testing.T, env Env) {
	p := newPod(t, env)
	began := time.Now()
	id := p.createSandbox(0)
	held := p.held()
	if held.Pod.Name != p.Name || held.Pod.Namespace != p.Namespace || len(held.Sandboxes) != 1 || len(held.Containers) != 0 {
		t.Fatalf("want one sandbox of %s, not %+v", p.Name, held)
	}
	s := held.Sandboxes[0]
	if s.ID != id || s.Attempt != 0 || !s.Ready || s.Created.Before(began.Add(-time.Second)) || s.Created.After(time.Now()) {
		t.Errorf("want sandbox %s ready, not %+v", id, s)
	}
	if _, err := netip.ParseAddr(s.IP); err != nil || len(s.IPs) == 0 || s.IPs[0] != s.IP {
		t.Errorf("want an address, not %q of %q (%v)", s.IP, s.IPs, err)
	}
	if err := env.Runtime.StopSandbox(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if s := p.held().Sandboxes[0]; s.Ready || s.IP != "" || len(s.IPs) != 0 {
		t.Errorf("the sandbox was stopped and yet has %+v", s)
	}
	if err := env.Runtime.RemoveSandbox(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if held := p.held(); len(held.Sandboxes) != 0 {
		t.Errorf("the sandbox was removed and yet there is %+v", held)
	}
}

func testSandboxAttempts(t *testing.T, env Env) {
	p := newPod(t, env)
	first := p.createSandbox(0)
	if err := env.Runtime.StopSandbox(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := p.createSandbox(1)
	held := p.held()
	if len(held.Sandboxes) != 2 {
		t.Fatalf("want two sandboxes, not %+v", held)
	}
	a, b := held.Sandboxes[0], held.Sandboxes[1]
	if a.ID != first || a.Attempt != 0 || a.Ready || b.ID != second || b.Attempt != 1 || !b.Ready {
		t.Errorf("want %s stopped and %s ready, not %+v", first, second, held.Sandboxes)
	}
	// What the old one leaves must not be taken from the new one.
	if err := env.Runtime.RemoveSandbox(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	p.start(0, simruntime.Script{})
}

func testHostNetwork(t *testing.T, env Env) {
	p := newPod(t, env)
	p.Spec.HostNetwork = true
	p.createSandbox(0)
	if s := p.held().Sandboxes[0]; !s.Ready || s.IP != "" || len(s.IPs) != 0 {
		t.Errorf("want a ready sandbox without an address, not %+v", s)
	}
}

// A stopped sandbox leaves nothing running.
func testStoppedSandbox(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	id := p.start(0, simruntime.Script{IgnoreTerm: true})
	if err := env.Runtime.StopSandbox(t.Context(), p.sandbox); err != nil {
		t.Fatal(err)
	}
	if c := p.ended(id); c.ExitCode != 137 {
		t.Errorf("want exit code 137, not %+v", c)
	}
	if _, err := env.Runtime.StartContainer(t.Context(), p.config(1, simruntime.Script{})); reason(err) == "" {
		t.Errorf("a container was started in a stopped sandbox: %v", err)
	}
}

// What is gone can be stopped and removed as often as one likes.
func testGone(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	id := p.start(0, simruntime.Script{Ends: true})
	p.ended(id)
	for range 2 {
		for what, err := range map[string]error{
			"kill":             env.Runtime.KillContainer(t.Context(), id, time.Second),
			"remove container": env.Runtime.RemoveContainer(t.Context(), id),
		} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	for range 2 {
		if err := env.Runtime.StopSandbox(t.Context(), p.sandbox); err != nil {
			t.Errorf("stop sandbox: %v", err)
		}
	}
	for range 2 {
		if err := env.Runtime.RemoveSandbox(t.Context(), p.sandbox); err != nil {
			t.Errorf("remove sandbox: %v", err)
		}
	}
	if err := env.Runtime.StopSandbox(t.Context(), p.sandbox); err != nil {
		t.Errorf("stop a sandbox that is gone: %v", err)
	}
}

// Records tell all there is to know, and go with their sandbox.
func testContainers(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	before := time.Now()
	id := p.start(0, simruntime.Script{})
	c := p.record(id)
	if c.Name != "c" || c.Attempt != 0 || c.State != podstep.Running || c.Hash != "abc" || c.Sandbox != p.sandbox || c.Image != env.Image {
		t.Errorf("want container c of sandbox %s running, not %+v", p.sandbox, c)
	}
	if c.ImageID == "" || c.LogPath == "" || c.Started.Before(before.Add(-time.Second)) || c.Started.After(time.Now()) || !c.Finished.IsZero() {
		t.Errorf("want an image, a log and a start, not %+v", c)
	}
	if err := env.Runtime.RemoveContainer(t.Context(), id); err == nil {
		t.Error("a running container was removed")
	}
	if err := env.Runtime.KillContainer(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	if err := env.Runtime.StopSandbox(t.Context(), p.sandbox); err != nil {
		t.Fatal(err)
	}
	if err := env.Runtime.RemoveSandbox(t.Context(), p.sandbox); err != nil {
		t.Fatal(err)
	}
	if held := p.held(); len(held.Sandboxes)+len(held.Containers) != 0 {
		t.Errorf("the sandbox was removed and yet there is %+v", held)
	}
}
