package writertest

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func (s *suite) updateNodeStatus(t *testing.T) {
	update := func(n *corev1.Node) (*corev1.Node, error) { return s.Writer.UpdateNodeStatus(t.Context(), n) }
	nodes := s.Client.CoreV1().Nodes()
	do(t, s, metav1.StatusReasonNotFound, update, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "unknown"}})
	node, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: s.Node}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ready := node.DeepCopy()
	ready.Spec.Unschedulable = true
	ready.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	got := do(t, s, "", update, ready)
	if len(got.Status.Conditions) != 1 || got.Spec.Unschedulable {
		t.Errorf("updated %v", got)
	}
	read, err := nodes.Get(t.Context(), s.Node, metav1.GetOptions{})
	stored(t, got, read, err)
	do(t, s, metav1.StatusReasonConflict, update, ready)
}

func (s *suite) updateDaemonSetStatus(t *testing.T) {
	update := func(d *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
		return s.Writer.UpdateDaemonSetStatus(t.Context(), d)
	}
	sets := s.Client.AppsV1().DaemonSets(s.Namespace)
	labels := map[string]string{"app": "agent"}
	set, err := sets.Create(t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: s.pod("").Spec},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := set.DeepCopy()
	seen.Status.ObservedGeneration = set.Generation
	seen.Status.DesiredNumberScheduled = 3
	seen.Spec.MinReadySeconds = 7
	got := do(t, s, "", update, seen)
	if got.Status.DesiredNumberScheduled != 3 || got.Spec.MinReadySeconds != 0 || got.Generation != set.Generation {
		t.Errorf("updated %v", got)
	}
	read, err := sets.Get(t.Context(), "agent", metav1.GetOptions{})
	stored(t, got, read, err)
	do(t, s, metav1.StatusReasonConflict, update, seen)
	impossible := got.DeepCopy()
	impossible.Status.NumberReady = -1
	do(t, s, metav1.StatusReasonInvalid, update, impossible)
}

func (s *suite) lease(t *testing.T) {
	create := func(l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
		return s.Writer.CreateLease(t.Context(), l)
	}
	update := func(l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
		return s.Writer.UpdateLease(t.Context(), l)
	}
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "lease"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       ptr.To("a"),
			LeaseDurationSeconds: ptr.To[int32](40),
			RenewTime:            ptr.To(metav1.NewMicroTime(time.Unix(1, 2000).UTC())),
		},
	}
	got := do(t, s, "", create, lease)
	do(t, s, metav1.StatusReasonAlreadyExists, create, lease)
	renewed := got.DeepCopy()
	renewed.Spec.HolderIdentity = ptr.To("b")
	second := do(t, s, "", update, renewed)
	read, err := s.Client.CoordinationV1().Leases(s.Namespace).Get(t.Context(), "lease", metav1.GetOptions{})
	stored(t, second, read, err)
	do(t, s, metav1.StatusReasonConflict, update, renewed)
	blind := renewed.DeepCopy()
	blind.ResourceVersion = ""
	do(t, s, metav1.StatusReasonInvalid, update, blind)
	wrong := second.DeepCopy()
	wrong.Spec.LeaseDurationSeconds = ptr.To[int32](0)
	do(t, s, metav1.StatusReasonInvalid, update, wrong)
	// A lease may be created by an update.
	byUpdate := lease.DeepCopy()
	byUpdate.Name = "by-update"
	do(t, s, "", update, byUpdate)
}

func (s *suite) event(t *testing.T) {
	create := func(e *eventsv1.Event) (*eventsv1.Event, error) { return s.Writer.CreateEvent(t.Context(), e) }
	update := func(e *eventsv1.Event) (*eventsv1.Event, error) { return s.Writer.UpdateEvent(t.Context(), e) }
	first := metav1.NewMicroTime(time.Unix(1, 2000).UTC())
	event := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: s.Namespace, Name: "event"},
		EventTime:           first,
		ReportingController: "garrison.dev/test",
		ReportingInstance:   "test",
		Action:              "Testing",
		Reason:              "Tested",
		Type:                corev1.EventTypeNormal,
		Note:                "a note",
		Regarding:           corev1.ObjectReference{Kind: "Pod", Namespace: s.Namespace, Name: "pod"},
	}
	got := do(t, s, "", create, event)
	do(t, s, metav1.StatusReasonAlreadyExists, create, event)
	again := got.DeepCopy()
	again.Series = &eventsv1.EventSeries{Count: 2, LastObservedTime: first}
	second := do(t, s, "", update, again)
	read, err := s.Client.EventsV1().Events(s.Namespace).Get(t.Context(), "event", metav1.GetOptions{})
	stored(t, second, read, err)
	old, err := s.Client.CoreV1().Events(s.Namespace).Get(t.Context(), "event", metav1.GetOptions{})
	if err != nil || old.Message != "a note" || old.Series == nil || old.Series.Count != 2 {
		t.Errorf("in the core group: %v, %v", old, err)
	}
	do(t, s, metav1.StatusReasonConflict, update, again)
	nameless := event.DeepCopy()
	nameless.Name, nameless.ReportingController = "nameless", ""
	do(t, s, metav1.StatusReasonInvalid, create, nameless)
}
