package cri_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/agent"
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

// TestDeathOfASandbox kills the process that holds a pod's namespaces.
func TestDeathOfASandbox(t *testing.T) {
	l := newLab(t)
	b := l.open(t, ``)
	b.start(b.config(0))
	told := make(chan types.UID, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Watch(ctx, func(uid types.UID) { told <- uid }) }()
	eventually(t, "the watch begins", func() bool { return len(told) > 0 })
	for _, pid := range b.processes(b.sandbox) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the death is told", func() bool { return len(told) > 0 && <-told == b.pod.UID })
	if s := b.held(t.Context()).Sandboxes[0]; s.Ready || s.IP != "" {
		t.Errorf("want a sandbox that is not ready, not %+v", s)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}

// processes are those of a container or a sandbox.
func (b *box) processes(id string) []int {
	b.t.Helper()
	file := filepath.Join("/sys/fs/cgroup", map[bool]string{false: "pids"}[unified()], b.options.CgroupRoot, "pod"+string(b.pod.UID), id, "cgroup.procs")
	content, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	var pids []int
	for line := range strings.Lines(string(content)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			b.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		b.t.Fatalf("%s has no processes", id)
	}
	return pids
}

func startAgain(t *testing.T, config containerd.Config) *containerd.Containerd {
	t.Helper()
	c, err := containerd.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOwners has two agents use one runtime.
func TestOwners(t *testing.T) {
	l := newLab(t)
	options := l.options
	options.Owner = "one"
	one := &lab{Runtime: client(t, options), options: options, logs: l.logs, image: l.image}
	options.Owner = "other"
	other := client(t, options)
	b := one.open(t, ``)
	b.start(b.config(0))
	if held := b.held(t.Context()); len(held.Sandboxes) != 1 || len(held.Containers) != 1 {
		t.Errorf("its own pod is %+v", held)
	}
	if held, err := other.Look(t.Context()); err != nil || len(held) != 0 {
		t.Errorf("the other sees %+v (%v)", held, err)
	}
	if held, err := l.Look(t.Context()); err != nil || len(held) != 1 {
		t.Errorf("who has no name sees %+v (%v)", held, err)
	}
}

// A pod whose sandbox cannot be made leaves nothing behind.
func TestNoSandbox(t *testing.T) {
	l := newLab(t)
	options := l.options
	options.RuntimeHandler = func(_ context.Context, class string) (string, error) { return class + "-handler", nil }
	l.Runtime = client(t, options)
	pod := podOf(t, `{runtimeClassName: nonsense}`)
	logs := filepath.Join(l.logs, "logs")
	id, err := l.CreateSandbox(t.Context(), agent.SandboxConfig{Pod: pod, LogDirectory: logs})
	if id != "" || reasonOf(err) != "FailedCreatePodSandBox" || !strings.HasPrefix(err.Error(), "failed to get sandbox runtime") ||
		!strings.Contains(err.Error(), "nonsense-handler") {
		t.Errorf("want FailedCreatePodSandBox, not %q and %v", id, err)
	}
	if _, err := os.Stat(logs); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of logs is left over (%v)", err)
	}
	if left, err := filepath.Glob("/sys/fs/cgroup/*" + l.options.CgroupRoot + "/pod*"); err != nil || len(left) > 0 {
		t.Errorf("%v is left over (%v)", left, err)
	}
}
