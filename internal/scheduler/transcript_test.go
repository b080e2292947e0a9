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
	w.s.setRunning(true)
	return w
}

func (w *world) run(t *testing.T, d *datadriven.TestData) string {
	happens, ok := happenings[d.Cmd]
	if !ok {
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	w.log.Reset()
	if err := happens(w, d.Input); err != nil {
		d.Fatalf(t, "%v", err)
	}
	return w.settle()
}

// happenings are what can happen in the world, by command.
var happenings = map[string]func(w *world, input string) error{
	"nodes": eachLine(func(w *world, line string) error {
		n, err := placetest.Node(line)
		if err == nil {
			w.s.setNode(n)
		}
		return err
	}),
	"delete-nodes": eachLine(func(w *world, line string) error {
		w.s.removeNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: line}})
		return nil
	}),
	// The API server of this process creates a pod, of which no event tells yet.
	"create": eachLine(func(w *world, line string) error { return w.create(line, nil) }),
	// The same, but it cannot be stored.
	"fail-create": eachLine(func(w *world, line string) error { return w.create(line, errors.New("disk full")) }),
	// An event tells of a created pod.
	"see": eachLine(func(w *world, line string) error {
		return w.store(w.pods[types.NamespacedName{Namespace: "default", Name: line}])
	}),
	// A created pod goes before any event told of it.
	"lose": eachLine(func(w *world, line string) error {
		delete(w.pods, types.NamespacedName{Namespace: "default", Name: line})
		return nil
	}),
	// Pods that are seen or created while nobody steps: SEEN-POD or +CREATED-POD.
	"rush": eachLine(func(w *world, line string) error {
		if created, ok := strings.CutPrefix(line, "+"); ok {
			return w.create(created, nil)
		}
		return w.setPod(line)
	}),
	"not-running": func(w *world, _ string) error { w.s.setRunning(false); return nil },
	"pods":        eachLine((*world).setPod),
	"pod":         (*world).setPod,
	"delete-pods": eachLine(func(w *world, line string) error {
		return w.deletePod(types.NamespacedName{Namespace: "default", Name: line})
	}),
	"finish": eachLine(func(w *world, line string) error {
		pod := w.pods[types.NamespacedName{Namespace: "default", Name: line}].DeepCopy()
		pod.Status.Phase = corev1.PodSucceeded
		return w.store(pod)
	}),
	// NODE and a pod that was promised the node by an earlier scheduler.
	"nominated": func(w *world, input string) error {
		node, text, _ := strings.Cut(input, " ")
		pod, err := placetest.Pod(text)
		if err != nil {
			return err
		}
		pod.Status.NominatedNodeName = node
		return w.store(pod)
	},
	"namespaces": eachLine(func(w *world, line string) error {
		pod, err := placetest.Pod(line) // a name and labels
		if err != nil {
			return err
		}
		w.s.setNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Labels: pod.Labels}})
		return nil
	}),
	"budgets": eachLine(func(w *world, line string) error {
		b, err := placetest.Budget(line)
		if err != nil {
			return err
		}
		return w.budgetStore.Add(b)
	}),
	// NAME [claims]
	"daemon-set": func(w *world, input string) error {
		name, claims, _ := strings.Cut(input, " ")
		ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}}
		if claims == "claims" {
			ds.Annotations = map[string]string{claimNode: "true"}
		}
		old, known, err := w.daemonStore.GetByKey("default/" + name)
		if err == nil {
			err = w.daemonStore.Update(ds)
		}
		if known {
			w.s.daemonSetChanged(old.(*appsv1.DaemonSet), ds)
		}
		return err
	},
	// The next write of a kind fails: KIND [badly]
	"fail": func(w *world, input string) error {
		kind, how, _ := strings.Cut(input, " ")
		w.failing[kind] = apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "", nil)
		if how == "badly" {
			w.failing[kind] = errors.New("disk full")
		}
		return nil
	},
	"wait": func(w *world, input string) error {
		pause, err := time.ParseDuration(input)
		w.clock.Step(pause)
		return err
	},
}

func eachLine(happens func(*world, string) error) func(*world, string) error {
	return func(w *world, input string) error {
		for line := range strings.Lines(input) {
			if err := happens(w, strings.TrimSpace(line)); err != nil {
				return err
			}
		}
		return nil
	}
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

func (w *world) setPod(text string) error {
	pod, err := placetest.Pod(text)
	if err != nil {
		return err
	}
	if old := w.pods[keyOf(pod)]; old != nil {
		pod.Status = old.Status
	}
	return w.store(pod)
}

// create lets the scheduler place a pod before it is stored, and stores it unless
// there is an error, but tells nobody.
func (w *world) create(text string, err error) error {
	pod, invalid := placetest.Pod(text)
	if invalid != nil {
		return invalid
	}
	node, settle := w.s.Place(pod)
	fmt.Fprintf(&w.log, "create %s on %q\n", keyOf(pod), node)
	if err == nil {
		pod = pod.DeepCopy()
		pod.Spec.NodeName = node
		w.pods[keyOf(pod)] = pod
	}
	switch {
	case settle == nil:
	case err == nil:
		settle(pod)
	default:
		settle(nil)
	}
	return nil
}

// store keeps a state of a pod and tells the scheduler, as an informer would.
func (w *world) store(pod *corev1.Pod) error {
	w.pods[keyOf(pod)] = pod
	err := w.podStore.Add(pod)
	w.s.setPod(pod)
	return err
}

func (w *world) deletePod(key types.NamespacedName) error {
	pod := w.pods[key]
	delete(w.pods, key)
	err := w.podStore.Delete(pod)
	w.s.removePod(pod)
	return err
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
	return w.store(pod)
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
	return pod, w.store(pod)
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
	return w.store(pod)
}

func (w *world) CreateEvent(context.Context, *eventsv1.Event) (*eventsv1.Event, error) {
	w.t.Error("events are taken from the recorder here")
	return nil, nil
}
