package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/simruntime"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// patience is how long anything may take on a busy machine.
const patience = 30 * time.Second

// pod is one pod of a test, with a container c. All that the runtime holds of it
// goes when the test ends.
type pod struct {
	*corev1.Pod
	t       testing.TB
	env     Env
	sandbox string
}

func newPod(t testing.TB, env Env) *pod {
	p := &pod{t: t, env: env, Pod: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "runtimetest", UID: uuid.NewUUID(),
			Name: strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())),
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "c", Image: env.Image,
			TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		}}},
	}}
	t.Cleanup(p.remove)
	return p
}

// remove removes all of the pod.
func (p *pod) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	held, err := holding(ctx, p.env.Runtime, p.UID)
	problems := []error{err}
	for _, s := range held.Sandboxes {
		problems = append(problems, p.env.Runtime.StopSandbox(ctx, s.ID))
	}
	for _, c := range held.Containers {
		problems = append(problems, p.env.Runtime.RemoveContainer(ctx, c.ID))
	}
	for _, s := range held.Sandboxes {
		problems = append(problems, p.env.Runtime.RemoveSandbox(ctx, s.ID))
	}
	if err := errors.Join(problems...); err != nil {
		p.t.Errorf("cannot clean up: %v", err)
	}
}

func (p *pod) logs() string {
	return filepath.Join(p.env.Logs, fmt.Sprintf("%s_%s_%s", p.Namespace, p.Name, p.UID))
}

// createSandbox makes a sandbox, in which containers are started from then on.
func (p *pod) createSandbox(attempt int) string {
	p.t.Helper()
	id, err := p.env.Runtime.CreateSandbox(p.t.Context(), agent.SandboxConfig{
		Pod: p.Pod, Attempt: attempt, Hostname: p.Name, LogDirectory: p.logs(),
	})
	if err != nil {
		p.t.Fatalf("create sandbox: %v", err)
	}
	p.sandbox = id
	return id
}

// config is what a container with a script needs.
func (p *pod) config(attempt int, script simruntime.Script) agent.ContainerConfig {
	p.t.Helper()
	image, err := p.env.Runtime.ImageID(p.t.Context(), p.env.Image)
	if err != nil || image == "" {
		p.t.Fatalf("image %s is not there: %v", p.env.Image, err)
	}
	return agent.ContainerConfig{
		Pod: p.Pod, Spec: &p.Spec.Containers[0], Attempt: attempt, Sandbox: p.sandbox, ImageID: image,
		Hash: "abc", Command: p.env.Command(script), LogDirectory: p.logs(),
	}
}

// start starts a container and waits until it does what it is there for.
func (p *pod) start(attempt int, script simruntime.Script) string {
	p.t.Helper()
	id, err := p.env.Runtime.StartContainer(p.t.Context(), p.config(attempt, script))
	if err != nil {
		p.t.Fatalf("start container: %v", err)
	}
	for !script.Ends {
		result, err := p.env.Runtime.Exec(p.t.Context(), id, p.env.Ready)
		if err != nil {
			p.t.Fatalf("ask whether the container is ready: %v", err)
		}
		if result.ExitCode == 0 {
			break
		}
	}
	return id
}

// held is what the runtime holds of the pod.
func (p *pod) held() agent.Holding {
	p.t.Helper()
	h, err := holding(p.t.Context(), p.env.Runtime, p.UID)
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

// holding gives what a runtime holds of a pod, in the order it was made.
func holding(ctx context.Context, runtime agent.Runtime, uid types.UID) (agent.Holding, error) {
	holdings, err := runtime.Look(ctx)
	if err != nil {
		return agent.Holding{}, fmt.Errorf("look: %w", err)
	}
	for _, h := range holdings {
		if h.Pod.UID != uid {
			continue
		}
		slices.SortFunc(h.Sandboxes, func(a, b agent.SandboxRecord) int { return a.Attempt - b.Attempt })
		slices.SortFunc(h.Containers, func(a, b agent.ContainerRecord) int { return a.Attempt - b.Attempt })
		return h, nil
	}
	return agent.Holding{}, nil
}

// record gives a container of the pod.
func (p *pod) record(id string) agent.ContainerRecord {
	p.t.Helper()
	held := p.held()
	for _, c := range held.Containers {
		if c.ID == id {
			return c
		}
	}
	p.t.Fatalf("container %s is not among %+v", id, held.Containers)
	return agent.ContainerRecord{}
}

// ended waits for a container to end.
func (p *pod) ended(id string) agent.ContainerRecord {
	p.t.Helper()
	var c agent.ContainerRecord
	p.eventually("the container ends", func() bool {
		c = p.record(id)
		return c.State == podstep.Exited
	})
	return c
}

func (p *pod) eventually(what string, holds func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("it is not so after %v that %s", patience, what)
		}
	}
}

// reason gives the reason of a failure, empty if it has none.
func reason(err error) string {
	var failure *agent.Failure
	if errors.As(err, &failure) {
		return failure.Reason
	}
	return ""
}
