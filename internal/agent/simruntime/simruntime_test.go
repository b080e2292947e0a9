package simruntime

import (
	"context"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

func TestScriptsAreWrittenAsCommands(t *testing.T) {
	for _, script := range []Script{
		{},
		{Ends: true},
		{Ends: true, After: 30 * time.Second, ExitCode: 3, Message: "over and out", Reason: "OOMKilled"},
		{IgnoreTerm: true},
		{TermDelay: 2 * time.Second, TermCode: 143, Output: "a=b"},
		{StartError: "no such file"},
	} {
		got, err := parse(script.Command(), Script{})
		if err != nil || !reflect.DeepEqual(got, script) {
			t.Errorf("%q is read as %+v (%v), not as %+v", script.Command(), got, err, script)
		}
	}
	if _, err := parse([]string{Simulate, "--nonsense"}, Script{}); err == nil {
		t.Error("an unknown flag was accepted")
	}
}

// start starts a container with a script in a new sandbox.
func start(t *testing.T, r *Runtime, s Script) string {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", UID: "u"}}
	sandbox, err := r.CreateSandbox(t.Context(), agent.SandboxConfig{Pod: pod})
	if err != nil {
		t.Fatal(err)
	}
	image, err := r.PullImage(t.Context(), agent.Pull{Image: "busybox"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.StartContainer(t.Context(), agent.ContainerConfig{
		Pod: pod, Spec: &corev1.Container{Name: "c", Image: "busybox"}, Sandbox: sandbox, ImageID: image, Command: s.Command(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func state(t *testing.T, r *Runtime) agent.ContainerRecord {
	t.Helper()
	held, err := r.Look(t.Context())
	if err != nil || len(held) != 1 || len(held[0].Containers) != 1 {
		t.Fatalf("want one container, not %+v (%v)", held, err)
	}
	return held[0].Containers[0]
}

func TestContainersGoByAFakeClock(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	r := New(clock)
	id := start(t, r, Script{Ends: true, After: time.Minute, ExitCode: 7, IgnoreTerm: true})
	clock.Step(59 * time.Second)
	if c := state(t, r); c.State != podstep.Running {
		t.Fatalf("ended before its time: %+v", c)
	}
	clock.Step(time.Hour)
	if err := r.KillContainer(t.Context(), id, time.Hour); err != nil { // waits for the end
		t.Fatal(err)
	}
	c := state(t, r)
	if c.State != podstep.Exited || c.ExitCode != 7 || !c.Finished.Equal(time.Unix(1060, 0)) {
		t.Fatalf("want it ended after a minute with code 7, not %+v", c)
	}
}

func TestBeforeMayFailACall(t *testing.T) {
	r := New(clocktesting.NewFakeClock(time.Unix(1000, 0)))
	refused := &agent.Failure{Reason: "ErrImagePull", Err: context.DeadlineExceeded}
	var asked []Call
	r.Before(func(_ context.Context, c Call) error {
		asked = append(asked, c)
		return refused
	})
	if _, err := r.PullImage(t.Context(), agent.Pull{Image: "busybox"}); err != refused {
		t.Errorf("got %v", err)
	}
	if want := []Call{{Method: "PullImage", Target: "busybox"}}; !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %+v", asked)
	}
}
