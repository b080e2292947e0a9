package agent_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// health runs a world and gives what its agent says of itself as time goes by.
func health(t *testing.T, check func(*world) error, troubles func(*world), times ...time.Duration) string {
	said := ""
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer func() { w.stop(); w.api.source.Broadcaster.Shutdown() }()
		w.run(time.Minute)
		troubles(w)
		for _, d := range times {
			w.run(d)
			said += fmt.Sprintln(check(w))
		}
	})
	return said
}

func TestAnAgentWhoseRuntimeIsAwayIsSick(t *testing.T) {
	runtime := func(w *world) error { return w.agent.CheckRuntime() }
	var away atomic.Bool
	got := health(t, runtime, func(w *world) {
		w.stop()
		w.looking = func(context.Context) error {
			if away.Load() {
				return errors.New("connection refused")
			}
			return nil
		}
		w.startAgent()
		w.run(time.Minute)
		away.Store(true)
	}, 4*time.Minute, 2*time.Minute)
	if want := "<nil>\nthe container runtime has not answered for 6m0s: connection refused\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	back := false
	got = health(t, runtime, func(w *world) {
		w.stop()
		w.looking = func(ctx context.Context) error {
			if !back {
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Minute):
				}
				back = true
			}
			return ctx.Err()
		}
		w.startAgent()
	}, 9*time.Minute, 2*time.Minute)
	if want := "the container runtime has not answered for 9m0s: a request has been under way since\n<nil>\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnAgentThatIsStuckIsSick(t *testing.T) {
	got := health(t, func(w *world) error { return w.agent.CheckSync() }, func(w *world) {
		w.stop()
		hang := make(chan struct{})
		time.AfterFunc(10*time.Minute, func() { close(hang) })
		w.finding = func(context.Context) error { <-hang; return nil }
		w.startAgent()
		pod := w.pods("metadata: {name: a}\nspec: {containers: [{name: web, image: busybox}]}")[0]
		if _, err := w.api.CreatePod(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}, 5*time.Minute, 4*time.Minute, 2*time.Minute)
	if want := "<nil>\nsync Loop took longer than expected: a step has been under way for 9m0s\n<nil>\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
