package cri_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/containerd/containerdtest"
	"github.com/garrison-project/garrison/internal/agent/cri"
	"github.com/garrison-project/garrison/internal/agent/simruntime"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

const patience = 30 * time.Second

// lab is a runtime with room for the files of tests.
type lab struct {
	*cri.Runtime
	options cri.Options
	logs    string
	image   string // ID
}

func newLab(t testing.TB) *lab {
	t.Helper()
	return newLabAt(t, containerdtest.Start(t))
}

// newLabAt is for tests that have a containerd.
func newLabAt(t testing.TB, c *containerd.Containerd) *lab {
	t.Helper()
	r, options := connect(t, c)
	image, err := r.ImageID(t.Context(), containerdtest.Image)
	if err != nil {
		t.Fatal(err)
	}
	return &lab{Runtime: r, options: options, logs: t.TempDir(), image: image}
}

// box is a pod that runs.
type box struct {
	*lab
	t       testing.TB
	pod     *corev1.Pod
	sandbox string
}

// podOf reads the spec of a pod, of which no more need be said than matters.
func podOf(t testing.TB, spec string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatal(err)
	}
	pod.Name, pod.Namespace, pod.UID = strings.ToLower(filepath.Base(t.Name())), "cri", uuid.NewUUID()
	if len(pod.Spec.Containers) == 0 {
		pod.Spec.Containers = []corev1.Container{{}}
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if c.Name == "" {
			c.Name = fmt.Sprint("c", i)
		}
		c.Image = containerdtest.Image
		if c.TerminationMessagePath == "" {
			c.TerminationMessagePath = "/dev/termination-log"
		}
	}
	return pod
}

// open makes the sandbox of a pod. It goes when the test ends.
func (l *lab) open(t testing.TB, spec string) *box {
	t.Helper()
	pod := podOf(t, spec)
	b := &box{lab: l, t: t, pod: pod}
	t.Cleanup(b.close)
	var err error
	b.sandbox, err = l.CreateSandbox(t.Context(), agent.SandboxConfig{
		Pod: pod, Hostname: "box", LogDirectory: b.logDirectory(),
		DNS: agent.DNS{Servers: []string{"192.0.2.53"}, Searches: []string{"cri.svc"}, Options: []string{"ndots:5"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *box) logDirectory() string {
	return filepath.Join(b.logs, fmt.Sprintf("%s_%s_%s", b.pod.Namespace, b.pod.Name, b.pod.UID))
}

func (b *box) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if b.sandbox == "" {
		return
	}
	if err := b.StopSandbox(ctx, b.sandbox); err != nil {
		b.t.Error(err)
	}
	for _, c := range b.held(ctx).Containers {
		if err := b.RemoveContainer(ctx, c.ID); err != nil {
			b.t.Error(err)
		}
	}
	if err := b.RemoveSandbox(ctx, b.sandbox); err != nil {
		b.t.Error(err)
	}
	if _, err := os.Stat(b.logDirectory()); !os.IsNotExist(err) {
		b.t.Errorf("the logs are left over: %v", err)
	}
}

func (b *box) held(ctx context.Context) agent.Holding { return b.heldOf(ctx, b.pod.UID) }

func (b *box) heldOf(ctx context.Context, uid types.UID) agent.Holding {
	b.t.Helper()
	all, err := b.Look(ctx)
	if err != nil {
		b.t.Error(err)
	}
	for _, h := range all {
		if h.Pod.UID == uid {
			return h
		}
	}
	return agent.Holding{}
}

// config is what the i-th container needs to run a command.
func (b *box) config(i int, command ...string) agent.ContainerConfig {
	if command == nil {
		command = shell(simruntime.Script{})
	}
	return agent.ContainerConfig{
		Pod: b.pod, Spec: &b.pod.Spec.Containers[i], Sandbox: b.sandbox, ImageID: b.image,
		Command: command, LogDirectory: b.logDirectory(), NodeMemory: 8 << 30,
	}
}

// start starts a container that runs until it is asked to stop, if nothing else
// is said.
func (b *box) start(config agent.ContainerConfig) string {
	b.t.Helper()
	id, err := b.StartContainer(b.t.Context(), config)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// ended waits for a container to end.
func (b *box) ended(id string) agent.ContainerRecord {
	b.t.Helper()
	var record agent.ContainerRecord
	eventually(b.t, "the container ends", func() bool {
		record = b.record(id)
		return record.State == podstep.Exited
	})
	return record
}

// record gives a container.
func (b *box) record(id string) agent.ContainerRecord {
	b.t.Helper()
	held := b.held(b.t.Context()).Containers
	for _, c := range held {
		if c.ID == id {
			return c
		}
	}
	b.t.Fatalf("container %s is not among %+v", id, held)
	return agent.ContainerRecord{}
}

// sh runs a line of shell in a container.
func (b *box) sh(id, line string) string {
	b.t.Helper()
	result, err := b.Exec(b.t.Context(), id, []string{"sh", "-c", line})
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(fmt.Sprintf("%s\n%s", result.Output, map[bool]string{false: fmt.Sprintf("exit code %d", result.ExitCode)}[result.ExitCode == 0]))
}

// says wants a line of shell to print something.
func (b *box) says(id, line, want string) {
	b.t.Helper()
	if got := b.sh(id, line); got != want {
		b.t.Errorf("%s: got %q, want %q", line, got, want)
	}
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not so after %v that %s", patience, what)
		}
	}
}
