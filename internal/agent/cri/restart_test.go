package cri_test

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/containerd/containerdtest"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// TestRestartOfTheRuntime stops containerd below a client that watches, and
// starts it again: what runs goes on, and is told about when it ends.
func TestRestartOfTheRuntime(t *testing.T) {
	config := containerdtest.NewConfig(t)
	first := containerdtest.StartWith(t, config)
	var second *containerd.Containerd
	t.Cleanup(func() { // after what the pod leaves
		if second != nil {
			if err := second.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
	l := newLabAt(t, first)
	b := l.open(t, ``)
	id := b.start(b.config(0))
	told := make(chan types.UID, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Watch(ctx, func(uid types.UID) { told <- uid }) }()

	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Look(t.Context()); err == nil {
		t.Error("the runtime was stopped and yet answers")
	}
	for len(told) > 0 {
		<-told
	}
	second = startAgain(t, config)
	eventually(t, "the client is back, and anything may have changed", func() bool { return len(told) > 0 && <-told == "" })
	if c := b.record(id); c.State != podstep.Running {
		t.Errorf("want the container to go on, not %+v", c)
	}
	b.says(id, "echo still here", "still here")
	if err := l.KillContainer(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end is told", func() bool { return len(told) > 0 && <-told == b.pod.UID })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}

func startAgain(t *testing.T, config containerd.Config) *containerd.Containerd {
	t.Helper()
	c, err := containerd.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
