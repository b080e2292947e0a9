package scheduler

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/garrison-project/garrison/internal/core/place/placetest"
)

// TestTranscripts runs the golden files in testdata: what happens in a cluster,
// and what the scheduler writes then. Rewrite them with -rewrite, and commit
// only what you understand.
func TestTranscripts(t *testing.T) {
	for _, path := range placetest.Transcripts(t) {
		t.Run(path, func(t *testing.T) {
			w := newWorld(t)
			datadriven.RunTest(t, path, w.run)
		})
	}
}

// world is an API server of maps, and a scheduler that is stepped by hand.
type world struct {
	t     *testing.T
	s     *Scheduler
	clock *testingclock.FakeClock
	pods  map[types.NamespacedName]*corev1.Pod
	log   strings.Builder
	// failing makes the next writes of a kind fail.
	failing map[string]error
}

func newWorld(t *testing.T) *world {
	w := &world{
		t:       t,
		clock:   testingclock.NewFakeClock(time.Unix(1_000_000, 0)),
		pods:    map[types.NamespacedName]*corev1.Pod{},
		failing: map[string]error{},
	}
	s, err := New(Options{
		Writer: w, Clock: w.clock,
		Informers: informers.NewSharedInformerFactory(fake.NewClientset(), 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.s = s
	return w
}

func (w *world) run(t *testing.T, d *datadriven.TestData) string {
	w.log.Reset()
	switch d.Cmd {
	case "nodes":
		for line := range strings.Lines(d.Input) {
			n, err := placetest.Node(line)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			w.s.setNode(n)
		}
	case "pods":
		for line := range strings.Lines(d.Input) {
			w.setPod(line)
		}
	case "pod":
		w.setPod(d.Input)
	case "delete-pods":
		for name := range strings.FieldsSeq(d.Input) {
			w.deletePod(types.NamespacedName{Namespace: "default", Name: name})
		}
	case "delete-nodes":
		for name := range strings.FieldsSeq(d.Input) {
			w.s.removeNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
	case "finish":
		for name := range strings.FieldsSeq(d.Input) {
			pod := w.pods[types.NamespacedName{Namespace: "default", Name: name}].DeepCopy()
			pod.Status.Phase = corev1.PodSucceeded
			w.store(pod)
		}
	case "fail":
		w.failing[strings.TrimSpace(d.Input)] = apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "", nil)
	case "wait":
		pause, err := time.ParseDuration(strings.TrimSpace(d.Input))
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		w.clock.Step(pause)
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return w.settle()
}

// settle steps until nothing is due and returns what was written, and when the
// scheduler wants to be asked again.
func (w *world) settle() string {
	for range 1000 {
		wake, err := w.s.Step(context.Background())
		if err != nil {
			fmt.Fprintf(&w.log, "error: %v\n", err)
		}
		w.flushEvents()
		if wake.IsZero() {
			return w.log.String()
		}
		if pause := wake.Sub(w.clock.Now()); pause > 0 {
			fmt.Fprintf(&w.log, "wake in %v\n", pause)
			return w.log.String()
		}
	}
	w.t.Fatal("the scheduler does not come to rest")
	return ""
}

func (w *world) flushEvents() {
	for len(w.s.recorder.pending) > 0 {
		e := <-w.s.recorder.pending
		fmt.Fprintf(&w.log, "event %s/%s: %s %s (%s): %s\n",
			e.Regarding.Namespace, e.Regarding.Name, e.Type, e.Reason, e.Action, e.Note)
	}
}

func (w *world) setPod(text string) {
	pod, err := placetest.Pod(text)
	if err != nil {
		w.t.Fatal(err)
	}
	if old := w.pods[keyOf(pod)]; old != nil {
		pod.Status = old.Status
	}
	w.store(pod)
}

// store keeps a state of a pod and tells the scheduler, as an informer would.
func (w *world) store(pod *corev1.Pod) {
	w.pods[keyOf(pod)] = pod
	w.s.setPod(pod)
}

func (w *world) deletePod(key types.NamespacedName) {
	pod := w.pods[key]
	delete(w.pods, key)
	w.s.removePod(pod)
}

func (w *world) fail(kind string) error {
	err := w.failing[kind]
	delete(w.failing, kind)
	return err
}

func (w *world) BindPod(_ context.Context, b *corev1.Binding) error {
	key := types.NamespacedName{Namespace: b.Namespace, Name: b.Name}
	if err := w.fail("bind"); err != nil {
		fmt.Fprintf(&w.log, "bind %s to %s: refused\n", key, b.Target.Name)
		return err
	}
	if b.UID != w.pods[key].UID {
		w.t.Errorf("binding %s without its UID", key)
	}
	fmt.Fprintf(&w.log, "bind %s to %s\n", key, b.Target.Name)
	pod := w.pods[key].DeepCopy()
	pod.Spec.NodeName = b.Target.Name
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
	w.store(pod)
	return nil
}

func (w *world) UpdatePodStatus(_ context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	if err := w.fail("status"); err != nil {
		fmt.Fprintf(&w.log, "status %s: refused\n", keyOf(pod))
		return nil, err
	}
	for _, c := range pod.Status.Conditions {
		fmt.Fprintf(&w.log, "status %s: %s=%s %s: %s\n", keyOf(pod), c.Type, c.Status, c.Reason, c.Message)
	}
	w.store(pod)
	return pod, nil
}

func (w *world) CreateEvent(context.Context, *eventsv1.Event) (*eventsv1.Event, error) {
	w.t.Error("events are taken from the recorder here")
	return nil, nil
}
