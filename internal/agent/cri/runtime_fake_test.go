package cri

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/agent"
)

const (
	ready    = runtimeapi.PodSandboxState_SANDBOX_READY
	notReady = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
	running  = runtimeapi.ContainerState_CONTAINER_RUNNING
	exited   = runtimeapi.ContainerState_CONTAINER_EXITED
)

func TestOnlyWhatChangedIsInspected(t *testing.T) {
	f := &fake{}
	f.pod("a", ready, running)
	f.pod("b", notReady, exited)
	r := serveFake(t, f)
	look := func(want ...string) {
		t.Helper()
		if _, err := r.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.set(func(f *fake) {
			slices.Sort(f.inspected)
			if !slices.Equal(f.inspected, want) {
				t.Errorf("inspected %q, want %q", f.inspected, want)
			}
			f.inspected = nil
		})
	}
	look("c-a", "c-b", "s-a", "s-b")
	look()
	f.set(func(f *fake) { f.containers[0].State = exited })
	look("c-a")
	f.set(func(f *fake) { f.sandboxes[0].State = notReady })
	look("s-a")
	// An address may come later than the sandbox.
	f.pod("c", ready, running)
	f.set(func(f *fake) { f.sandboxes[2].Network = nil })
	look("c-c", "s-c")
	look("s-c")
	f.pod("d", ready, running)
	look("c-d", "s-c", "s-d")
	// What has no pod is left alone.
	f.pod("", ready, running)
	look("s-c")
	f.set(func(f *fake) { f.sandboxes, f.containers = nil, nil })
	look()
	if holdings, err := r.Look(t.Context()); err != nil || len(holdings) != 0 {
		t.Errorf("want nothing, not %+v (%v)", holdings, err)
	}
}

// Who a container runs as is told where the runtime knows.
func TestUser(t *testing.T) {
	f := &fake{}
	f.pod("a", ready, running)
	f.set(func(f *fake) {
		f.containers[0].User = &runtimeapi.ContainerUser{Linux: &runtimeapi.LinuxContainerUser{Uid: 1000, Gid: 3000, SupplementalGroups: []int64{3000, 4000}}}
	})
	f.pod("b", ready, running)
	holdings, err := serveFake(t, f).Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[types.UID]*corev1.ContainerUser{
		"a": {Linux: &corev1.LinuxContainerUser{UID: 1000, GID: 3000, SupplementalGroups: []int64{3000, 4000}}}, "b": nil,
	}
	for _, h := range holdings {
		if got := h.Containers[0].User; !reflect.DeepEqual(got, want[h.Pod.UID]) {
			t.Errorf("pod %s: %v", h.Pod.UID, got)
		}
	}
}

// What cannot be inspected hides nothing of other pods, and is not taken for gone.
func TestWhatCannotBeInspected(t *testing.T) {
	f := &fake{broken: map[string]error{}}
	f.pod("a", ready, running)
	f.pod("b", ready, running)
	f.pod("c", ready, running)
	at := socket(t)
	stop := f.serve(t, at)
	r := newClient(t, Options{Endpoint: at})
	look := func(broken ...types.UID) {
		t.Helper()
		holdings, err := r.Look(t.Context())
		if err != nil || len(holdings) != 3 {
			t.Fatalf("%d holdings (%v)", len(holdings), err)
		}
		for _, h := range holdings {
			if (h.Err != nil) != slices.Contains(broken, h.Pod.UID) {
				t.Errorf("pod %s: error %v", h.Pod.UID, h.Err)
			}
			if h.Err == nil && (len(h.Sandboxes) != 1 || len(h.Containers) != 1) {
				t.Errorf("pod %s: %+v", h.Pod.UID, h)
			}
		}
	}
	f.set(func(f *fake) {
		f.broken["s-a"] = status.Error(codes.Unknown, "failed to query controller status: ttrpc: closed")
		f.broken["c-c"] = status.Error(codes.Unknown, "no end is in sight")
	})
	look("a", "c")
	f.set(func(f *fake) { delete(f.broken, "s-a") })
	look("c")
	f.set(func(f *fake) { clear(f.broken) })
	look()
	stop()
	if _, err := r.Look(t.Context()); err == nil {
		t.Error("a runtime that is gone holds nothing, it seems")
	}
}

// watching runs Watch and passes on what it tells.
func watching(t *testing.T, r *Runtime) <-chan types.UID {
	t.Helper()
	told := make(chan types.UID, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Watch(ctx, func(uid types.UID) { told <- uid }) }()
	t.Cleanup(func() {
		cancel()
		if err := soon(t, "the end of the watch", ended); !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ends with %v", err)
		}
	})
	return told
}

// until waits for a pod to be told.
func until(t *testing.T, told <-chan types.UID, uid types.UID) {
	t.Helper()
	for soon(t, fmt.Sprintf("%q", uid), told) != uid {
	}
}

func eventOf(uid string) *runtimeapi.ContainerEventResponse {
	return &runtimeapi.ContainerEventResponse{PodSandboxStatus: &runtimeapi.PodSandboxStatus{Metadata: &runtimeapi.PodSandboxMetadata{Uid: uid}}}
}

func TestWatchGoesByTheEventsOfTheRuntime(t *testing.T) {
	f := &fake{events: make(chan *runtimeapi.ContainerEventResponse)}
	told := watching(t, serveFake(t, f))
	until(t, told, "")
	f.events <- eventOf("a")
	until(t, told, "a")
}

func TestWatchLooksWhereThereAreNoEvents(t *testing.T) {
	for _, answer := range []error{status.Error(codes.Unimplemented, "unknown method"), status.Error(codes.Unknown, "events are switched off")} {
		t.Run(status.Code(answer).String(), func(t *testing.T) { testPolling(t, &fake{noEvents: answer}) })
	}
}

func testPolling(t *testing.T, f *fake) {
	f.pod("a", ready, running)
	told := watching(t, serveFake(t, f))
	for range 3 { // each way to watch begins with that, and two break off
		until(t, told, "")
	}
	f.set(func(f *fake) { f.containers[0].State = exited })
	until(t, told, "a")
	f.pod("b", ready, running)
	until(t, told, "b")
}

func TestWatchSurvivesTheRuntime(t *testing.T) {
	s := socket(t)
	f := &fake{events: make(chan *runtimeapi.ContainerEventResponse)}
	told := watching(t, newClient(t, Options{Endpoint: s})) // it is not there yet
	stop := f.serve(t, s)
	until(t, told, "")
	f.events <- eventOf("a")
	until(t, told, "a")
	stop()
	f.serve(t, s)
	until(t, told, "") // anything may have changed
	f.events <- eventOf("b")
	until(t, told, "b")
}

func TestCredentialsAreTriedInTurn(t *testing.T) {
	var tried []string
	f := &fake{pull: func(request *runtimeapi.PullImageRequest) error {
		if request.Image.Image != "docker.io/library/busybox:latest" {
			t.Errorf("pulled %s", request.Image.Image)
		}
		tried = append(tried, request.Auth.GetUsername()+request.Auth.GetIdentityToken())
		if request.Auth.GetPassword() == "right" {
			return nil
		}
		return status.Error(codes.Unknown, "401 Unauthorized")
	}}
	r := serveFake(t, f)
	wrong := []agent.Credential{{Username: "a", Password: "secret"}, {IdentityToken: "b"}}
	for _, test := range []struct {
		credentials []agent.Credential
		tried, fail string
	}{
		{nil, `[""]`, "401 Unauthorized"},
		{wrong, `["a" "b" ""]`, "401 Unauthorized"},
		{append(wrong, agent.Credential{Username: "c", Password: "right"}, agent.Credential{Username: "d"}), `["a" "b" "c"]`, ""},
	} {
		tried = nil
		id, err := r.PullImage(t.Context(), agent.Pull{Image: "busybox", Credentials: test.credentials})
		if got := fmt.Sprintf("%q", tried); got != test.tried {
			t.Errorf("tried %s, want %s", got, test.tried)
		}
		var failure *agent.Failure
		switch {
		case test.fail == "" && (err != nil || id != "id"):
			t.Errorf("got %q and %v", id, err)
		case test.fail != "" && (!errors.As(err, &failure) || failure.Reason != "ErrImagePull" || err.Error() != test.fail):
			t.Errorf("got %v, want %q", err, test.fail)
		}
	}
}

func TestPullFailuresBearTheReasonOfTheRuntime(t *testing.T) {
	var answer string
	r := serveFake(t, &fake{pull: func(*runtimeapi.PullImageRequest) error { return status.Error(codes.Unknown, answer) }})
	for _, test := range []struct{ answer, reason, text string }{
		{"RegistryUnavailable: 503", "RegistryUnavailable", "image pull failed for docker.io/library/busybox:1 because the registry is unavailable: 503"},
		{"SignatureValidationFailed", "SignatureValidationFailed", "image pull failed for docker.io/library/busybox:1 because the signature validation failed"},
		{"not found", "ErrImagePull", "not found"},
	} {
		answer = test.answer
		_, err := r.PullImage(t.Context(), agent.Pull{Image: "busybox:1"})
		var failure *agent.Failure
		if !errors.As(err, &failure) || failure.Reason != test.reason || err.Error() != test.text {
			t.Errorf("got %v, want %s with %q", err, test.reason, test.text)
		}
	}
}

func TestConditionTellsWhatDoesNotWork(t *testing.T) {
	f := &fake{conditions: []*runtimeapi.RuntimeCondition{
		{Type: "RuntimeReady", Status: true}, {Type: "NetworkReady", Reason: "NetworkPluginNotReady", Message: "cni plugin not initialized"},
	}, handlers: []*runtimeapi.RuntimeHandler{{Name: "runc"}, {Features: &runtimeapi.RuntimeHandlerFeatures{RecursiveReadOnlyMounts: true}}}}
	c, err := serveFake(t, f).Condition(t.Context())
	want := agent.Condition{
		Network: "container runtime network is not ready: cni plugin not initialized", Name: "fake", Version: "1",
		Handlers: []agent.Handler{{RecursiveReadOnly: true}, {Name: "runc"}},
	}
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v (%v), want %+v", c, err, want)
	}
	if _, err := newClient(t, Options{Endpoint: "/nowhere"}).Condition(t.Context()); err == nil || !strings.Contains(err.Error(), "ask the container runtime for its status") {
		t.Errorf("got %v from nobody", err)
	}
}

func TestControlGroupsAreNamedAsTheirDriverWants(t *testing.T) {
	for _, test := range []struct {
		config string
		driver cgroupDriver
		parent string
	}{
		{"", driverFiles, "/garrison/poda-b"},
		{`{"containerd": {"defaultRuntimeName": "runc", "runtimes": {"runc": {"options": {"SystemdCgroup": false}}}}}`, driverFiles, "/garrison/poda-b"},
		{`{"containerd": {"defaultRuntimeName": "runc", "runtimes": {"runc": {"options": {"SystemdCgroup": true}}}}}`, driverSystemd, "/garrison.slice/garrison-poda_b.slice"},
		{`{"containerd": {"defaultRuntimeName": "runc", "runtimes": {"other": {"options": {"SystemdCgroup": true}}}}}`, driverFiles, "/garrison/poda-b"},
	} {
		driver, err := serveFake(t, &fake{config: test.config}).cgroupDriver(t.Context())
		if err != nil || driver != test.driver {
			t.Errorf("%s: got %v (%v), want %v", test.config, driver, err, test.driver)
		}
		if got := podParent("/garrison", "a-b", driver); got != test.parent {
			t.Errorf("got %s, want %s", got, test.parent)
		}
	}
}

func TestFeatures(t *testing.T) {
	able := &runtimeapi.RuntimeHandlerFeatures{RecursiveReadOnlyMounts: true}
	for _, test := range []struct {
		fake *fake
		want Features
	}{
		{&fake{}, Features{}},
		{&fake{features: &runtimeapi.RuntimeFeatures{SupplementalGroupsPolicy: true}}, Features{SupplementalGroupsPolicy: true}},
		{&fake{handlers: []*runtimeapi.RuntimeHandler{{Name: "other", Features: able}, {}}}, Features{}},
		{&fake{handlers: []*runtimeapi.RuntimeHandler{{Name: "other"}, {Features: able}}}, Features{RecursiveReadOnly: true}},
	} {
		if got, err := serveFake(t, test.fake).Features(t.Context()); err != nil || got != test.want {
			t.Errorf("got %+v (%v), want %+v", got, err, test.want)
		}
	}
}

// A runtime that does not know of a policy would run the pod without it.
func TestAPolicyThatIsNotKnownIsRefused(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{
		SupplementalGroupsPolicy: ptr.To(corev1.SupplementalGroupsPolicyStrict),
	}}}
	config := agent.SandboxConfig{Pod: pod, LogDirectory: t.TempDir()}
	if _, err := serveFake(t, &fake{}).CreateSandbox(t.Context(), config); !errors.Is(err, errGroupsPolicy) {
		t.Errorf("got %v", err)
	}
	knows := &fake{features: &runtimeapi.RuntimeFeatures{SupplementalGroupsPolicy: true}}
	if condition, err := serveFake(t, knows).Condition(t.Context()); err != nil || !condition.SupplementalGroupsPolicy {
		t.Errorf("the condition %+v (%v) does not tell", condition, err)
	}
	if err := serveFake(t, knows).checkGroupsPolicy(t.Context(), pod); err != nil {
		t.Error(err)
	}
}

// late is a context whose deadline has passed, but which has not noticed yet, as
// happens on a busy machine.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

// unable is a runtime that cannot run commands.
type unable struct {
	runtimeapi.RuntimeServiceClient
}

func (unable) ExecSync(context.Context, *runtimeapi.ExecSyncRequest, ...grpc.CallOption) (*runtimeapi.ExecSyncResponse, error) {
	return nil, status.Error(codes.Unknown, "failed to kill exec")
}

// That a command took too long is known by the clock, whatever the runtime says.
func TestCommandOutOfTime(t *testing.T) {
	r, command := &Runtime{runtime: unable{}}, []string{"sleep", "9"}
	_, err := r.Exec(late{t.Context()}, "c", command)
	if want := `command "sleep 9" timed out: context deadline exceeded`; !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err = r.Exec(ctx, "c", command); err == nil || err.Error() != "failed to kill exec" {
		t.Errorf("got %v, want what the runtime says", err)
	}
}
