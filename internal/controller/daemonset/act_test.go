package daemonset

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/core/rollout"
)

// Creates that fail are tried one at a time, told, and shown in the status; the
// generation counts as observed only when a turn has succeeded.
func TestCreatesThatFail(t *testing.T) {
	b := newBench(t)
	b.addNodes("a", "b", "c", "d")
	b.writer.refuse = func(*corev1.Pod) error { return fmt.Errorf("quota exceeded") }
	b.apply(nil)
	b.until("blocked", func() bool {
		return slices.ContainsFunc(b.daemonSet().Status.Conditions, func(c appsv1.DaemonSetCondition) bool {
			return c.Type == rollout.Blocked && c.Status == corev1.ConditionTrue && strings.Contains(c.Message, "quota exceeded")
		})
	})
	if observed := b.daemonSet().Status.ObservedGeneration; observed != 0 {
		t.Errorf("generation %d counts as observed", observed)
	}
	before := b.writer.creates.Load()
	if err := b.step(); err == nil || b.writer.creates.Load() != before+1 {
		t.Errorf("%d creates in one turn, error %v", b.writer.creates.Load()-before, err)
	}
	if told := b.told(); !slices.Contains(told, "Warning FailedCreate Error creating: quota exceeded") {
		t.Errorf("events: %q", told)
	}
	b.writer.refuse = nil
	b.complete()
}

// A name that another pod has is passed over.
func TestTakenName(t *testing.T) {
	b := newBench(t)
	b.addNodes("a")
	var name string
	b.writer.refuse = func(pod *corev1.Pod) error { name = pod.Name; return fmt.Errorf("not now") }
	b.apply(nil)
	b.until("first attempt", func() bool { return name != "" })
	b.writer.refuse = nil
	other := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "image:1"}}},
	}
	must(t, b.client.CoreV1().Pods(b.namespace).Create, t.Context(), other)
	b.until("another name", func() bool {
		return slices.ContainsFunc(b.pods(), func(p corev1.Pod) bool { return p.Name != name && b.controls(&p) })
	})
}

// A delete hits only the pod that was judged, not another of its name.
func TestDeletesNameTheirPod(t *testing.T) {
	b := newBench(t)
	b.addNodes("a")
	ds := b.apply(nil)
	b.complete()
	pod := b.pods()[0]
	turn := &turn{Controller: b.c, ds: ds, memory: b.c.memoryOf(b.key, ds.UID)}
	deletion := rollout.Action{Verb: rollout.Delete, Pod: pod.Name, UID: "of-a-predecessor", Node: target(&pod)}
	if err := turn.deletePods(t.Context(), []rollout.Action{deletion}); err != nil {
		t.Fatal(err)
	}
	if pods := b.pods(); len(pods) != 1 || pods[0].UID != pod.UID || pods[0].DeletionTimestamp != nil {
		t.Errorf("another pod was deleted: %s", describe(pods))
	}
}

// In a namespace that is being deleted nothing is created, and nobody is told.
func TestNamespaceThatEnds(t *testing.T) {
	b := newBench(t)
	b.addNodes("a", "b")
	b.writer.refuse = func(pod *corev1.Pod) error {
		err := apierrors.NewForbidden(corev1.Resource("pods"), pod.Name, fmt.Errorf("namespace is being terminated"))
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
		return err
	}
	b.apply(nil)
	b.until("attempts", func() bool { return b.writer.creates.Load() >= 2 })
	if err := b.step(); err != nil {
		t.Error(err)
	}
	if told := b.told(); len(told) > 0 {
		t.Errorf("events: %q", told)
	}
}

// Failed creates are tried again one at a time; then, while they succeed, twice
// as many each time.
func TestSlowStart(t *testing.T) {
	m := &memory{ledger: newLedger(clock.RealClock{}), window: firstWindow}
	var failing bool
	var windows []int
	b := &Controller{writer: windowWriter{counting: &sync.Mutex{}, count: func() error {
		windows[len(windows)-1]++
		if failing {
			return fmt.Errorf("not now")
		}
		return nil
	}}, clock: clock.RealClock{}, events: record.NewFakeRecorder(1000)}
	turn := &turn{Controller: b, ds: &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "ds"}}, memory: m}
	for _, c := range []struct {
		actions, tried int
		failing        bool
		window         int
	}{
		{actions: 7, tried: 7, window: 8},
		{actions: 300, tried: 300, window: maxBatch},
		{actions: 300, tried: maxBatch, failing: true, window: firstWindow},
		{actions: 300, tried: 1, failing: true, window: firstWindow},
		{actions: 1, tried: 1, window: 2},
	} {
		failing, windows = c.failing, append(windows, 0)
		err := turn.createPods(t.Context(), "hash", make([]rollout.Action, c.actions))
		if tried := windows[len(windows)-1]; tried != c.tried || m.window != c.window || (err != nil) != c.failing {
			t.Errorf("%+v: tried %d, window now %d, error %v", c, tried, m.window, err)
		}
	}
}

// windowWriter has creates counted, one at a time.
type windowWriter struct {
	Writer
	counting *sync.Mutex
	count    func() error
}

func (w windowWriter) CreatePod(_ context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	w.counting.Lock()
	defer w.counting.Unlock()
	return pod, w.count()
}
