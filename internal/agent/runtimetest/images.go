package runtimetest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/simruntime"
)

func testImages(t *testing.T, env Env) {
	id, err := env.Runtime.ImageID(t.Context(), env.Image)
	if err != nil || id == "" {
		t.Fatalf("want the ID of %s, not %q (%v)", env.Image, id, err)
	}
	images, err := env.Runtime.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(images, func(i agent.Image) bool { return i.ID == id })
	if i < 0 || len(images[i].Tags) == 0 || images[i].Size <= 0 {
		t.Errorf("want %s with a tag and a size among %+v", id, images)
	}
	if id, err := env.Runtime.ImageID(t.Context(), env.Missing); err != nil || id != "" {
		t.Errorf("want no ID of a missing image, not %q (%v)", id, err)
	}
	if id, err := env.Runtime.ImageID(t.Context(), "No Name"); err != nil || id != "" {
		t.Errorf("want no ID of what is no name, not %q (%v)", id, err)
	}
	if err := env.Runtime.RemoveImage(t.Context(), "sha256:0000000000000000000000000000000000000000000000000000000000000000"); err != nil {
		t.Errorf("remove an image that is not there: %v", err)
	}
}

func testPullFailures(t *testing.T, env Env) {
	p := newPod(t, env)
	if id, err := env.Runtime.PullImage(t.Context(), agent.Pull{Image: env.Missing, Pod: p.Pod}); reason(err) != "ErrImagePull" || id != "" {
		t.Errorf("want ErrImagePull, not %v and %q", err, id)
	}
	if _, err := env.Runtime.PullImage(t.Context(), agent.Pull{Image: "No Name", Pod: p.Pod}); reason(err) != "InvalidImageName" {
		t.Errorf("want InvalidImageName, not %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := env.Runtime.PullImage(ctx, agent.Pull{Image: env.Missing, Pod: p.Pod}); err == nil {
		t.Error("a pull that was cancelled succeeded")
	}
	p.createSandbox(0)
	config := p.config(0, simruntime.Script{})
	config.ImageID = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	if _, err := env.Runtime.StartContainer(t.Context(), config); reason(err) != "CreateContainerError" {
		t.Errorf("want CreateContainerError without an image, not %v", err)
	}
}

// Whoever watches learns that a container has ended, and can then see it.
func testWatch(t *testing.T, env Env) {
	p := newPod(t, env)
	p.createSandbox(0)
	id := p.start(0, simruntime.Script{})
	ctx, cancel := context.WithCancel(t.Context())
	var told, toldPod atomic.Int32
	ended := make(chan error, 1)
	go func() {
		ended <- env.Runtime.Watch(ctx, func(uid types.UID) {
			told.Add(1)
			if uid == p.UID {
				toldPod.Add(1)
			}
		})
	}()
	p.eventually("all is told once", func() bool { return told.Load() > 0 })
	before := toldPod.Load()
	if err := env.Runtime.KillContainer(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	p.eventually("the end is told", func() bool { return toldPod.Load() > before })
	p.ended(id)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("want the watch to end as cancelled, not with %v", err)
	}
}

func testCondition(t *testing.T, env Env) {
	c, err := env.Runtime.Condition(t.Context())
	if err != nil || c.Runtime != "" || c.Network != "" || c.Name == "" || c.Version == "" {
		t.Errorf("want a runtime that is well, not %+v (%v)", c, err)
	}
}
