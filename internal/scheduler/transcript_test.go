package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
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
	t                                  *testing.T
	podStore, budgetStore, daemonStore cache.Store
	s                                  *Scheduler
	clock                              *testingclock.FakeClock
	pods                               map[types.NamespacedName]*corev1.Pod
	log                                strings.Builder
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
	// The informers are never started: the test fills their stores.
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	s, err := New(Options{Writer: w, Clock: w.clock, Informers: factory})
	if err != nil {
		t.Fatal(err)
	}
	w.podStore = factory.Core().V1().Pods().Informer().GetStore()
	w.daemonStore = factory.Apps().V1().DaemonSets().Informer().GetStore()
	w.budgetStore = factory.Policy().V1().PodDisruptionBudgets().Informer().GetStore()
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
	case "daemon-set":
		// NAME [claims]
		name, claims, _ := strings.Cut(d.Input, " ")
		ds := &appsv1.DaemonSet{}
		ds.Namespace, ds.Name, ds.UID = "default", name, types.UID(name)
		if claims == "claims" {
			ds.Annotations = map[string]string{claimNode: "true"}
		}
		if err := w.daemonStore.Add(ds); err != nil {
			d.Fatalf(t, "%v", err)
		}
	case "budgets":
		for line := range strings.Lines(d.Input) {
			b, err := placetest.Budget(line)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			if err := w.budgetStore.Add(b); err != nil {
				d.Fatalf(t, "%v", err)
			}
		}
	case "nominated":
		name, rest, _ := strings.Cut(d.Input, " ")
		node, rest, _ := strings.Cut(rest, " ")
		pod, err := placetest.Pod(name + " " + rest)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		pod.Status.NominatedNodeName = node
		w.store(pod)
	case "delete-pods":
		for name := range strings.FieldsSeq(d.Input) {
			w.deletePod(types.NamespacedName{Namespace: "default", Name: name})
		}
	case "delete-nodes":
		for name := range strings.FieldsSeq(d.Input) {
			w.s.removeNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
	case "namespaces":
		for line := range strings.Lines(d.Input) {
			pod, err := placetest.Pod(line) // a name and labels
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			ns := &corev1.Namespace{}
			ns.Name, ns.Labels = pod.Name, pod.Labels
			w.s.setNamespace(ns)
		}
	case "finish":
		for name := range strings.FieldsSeq(d.Input) {
			pod := w.pods[types.NamespacedName{Namespace: "default", Name: name}].DeepCopy()
			pod.Status.Phase = corev1.PodSucceeded
			w.store(pod)
		}
	case "fail":
		what, how, _ := strings.Cut(strings.TrimSpace(d.Input), " ")
		w.failing[what] = apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "", nil)
		if how == "badly" {
			w.failing[what] = errors.New("disk full")
		}
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
	if err := w.podStore.Add(pod); err != nil {
		w.t.Fatal(err)
	}
	w.s.setPod(pod)
}

func (w *world) deletePod(key types.NamespacedName) {
	pod := w.pods[key]
	delete(w.pods, key)
	if err := w.podStore.Delete(pod); err != nil {
		w.t.Fatal(err)
	}
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
		if old := w.pods[keyOf(pod)]; !slices.Contains(old.Status.Conditions, c) {
			fmt.Fprintf(&w.log, "status %s: %s=%s %s: %s\n", keyOf(pod), c.Type, c.Status, c.Reason, c.Message)
		}
	}
	if node := pod.Status.NominatedNodeName; node != w.pods[keyOf(pod)].Status.NominatedNodeName {
		fmt.Fprintf(&w.log, "status %s: nominated for %q\n", keyOf(pod), node)
	}
	w.store(pod)
	return pod, nil
}

func (w *world) DeletePod(_ context.Context, key types.NamespacedName, o metav1.DeleteOptions) error {
	if o.Preconditions == nil || *o.Preconditions.UID != w.pods[key].UID {
		w.t.Errorf("deleting %s without its UID", key)
	}
	if o.GracePeriodSeconds != nil {
		w.t.Errorf("deleting %s without its grace period", key)
	}
	fmt.Fprintf(&w.log, "delete %s\n", key)
	pod := w.pods[key].DeepCopy()
	pod.DeletionTimestamp = &metav1.Time{Time: w.clock.Now()}
	w.store(pod)
	return nil
}

func (w *world) CreateEvent(context.Context, *eventsv1.Event) (*eventsv1.Event, error) {
	w.t.Error("events are taken from the recorder here")
	return nil, nil
}
