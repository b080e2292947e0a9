package replicaset_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/apitest"
	"github.com/garrison-project/garrison/internal/controller/replicaset"
)

var api *apitest.API

func TestMain(m *testing.M) {
	os.Exit(apitest.Main(m, func(a *apitest.API) ([]apitest.Part, error) {
		api = a
		c, err := replicaset.New(replicaset.Options{Client: a.Client(), Informers: a.Informers(), Writer: a.Writer()})
		return []apitest.Part{c}, err
	}))
}

var labels = map[string]string{"app": "web"}

// create creates a ReplicaSet named web.
func create(t *testing.T, namespace string, spec appsv1.ReplicaSetSpec) {
	t.Helper()
	spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	spec.Template.Labels = labels
	spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "web:1"}}
	_, err := api.Client().AppsV1().ReplicaSets(namespace).Create(t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func scale(t *testing.T, namespace string, replicas int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	apitest.Must(t)(api.Client().AppsV1().ReplicaSets(namespace).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{}))
}

func list(t *testing.T, namespace string) []corev1.Pod {
	t.Helper()
	pods, err := api.Client().CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// status is what the status of web comes to.
func status(t *testing.T, namespace string) (string, *appsv1.ReplicaSet) {
	t.Helper()
	rs, err := api.Client().AppsV1().ReplicaSets(namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := rs.Status
	text := fmt.Sprintf("replicas=%d labelled=%d ready=%d available=%d", s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas, s.AvailableReplicas)
	if s.ObservedGeneration != rs.Generation {
		text += " outdated"
	}
	for _, c := range s.Conditions {
		text += fmt.Sprintf(" %s=%s/%s", c.Type, c.Status, c.Reason)
	}
	return text, rs
}

func eventually(t *testing.T, namespace, want string) *appsv1.ReplicaSet {
	t.Helper()
	var found *appsv1.ReplicaSet
	apitest.Eventually(t, func() error {
		got, rs := status(t, namespace)
		if found = rs; got != want {
			return fmt.Errorf("status %s, want %s", got, want)
		}
		return nil
	})
	return found
}

// setStatus writes the status that an agent would.
func setStatus(t *testing.T, pod corev1.Pod, phase corev1.PodPhase, ready corev1.ConditionStatus) {
	t.Helper()
	pod.Status.Phase = phase
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()}}
	apitest.Must(t)(api.Writer().UpdatePodStatus(t.Context(), &pod))
}

func TestReplicasAreKept(t *testing.T) {
	ns := api.Namespace(t)
	create(t, ns, appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](3)})
	rs := eventually(t, ns, "replicas=3 labelled=3 ready=0 available=0")
	for _, pod := range list(t, ns) {
		owner := metav1.GetControllerOf(&pod)
		if !strings.HasPrefix(pod.Name, "web-") || owner == nil || owner.UID != rs.UID || !*owner.BlockOwnerDeletion {
			t.Errorf("pod %s of %v", pod.Name, owner)
		}
	}
	scale(t, ns, 7)
	eventually(t, ns, "replicas=7 labelled=7 ready=0 available=0")
	scale(t, ns, 1)
	eventually(t, ns, "replicas=1 labelled=1 ready=0 available=0")
	if err := api.Client().CoreV1().Pods(ns).Delete(t.Context(), list(t, ns)[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, ns, "replicas=1 labelled=1 ready=0 available=0")
	apitest.Eventually(t, func() error { return told(t, ns, "SuccessfulCreate", "Created pod: web-") })
	apitest.Eventually(t, func() error { return told(t, ns, "SuccessfulDelete", "Deleted pod: web-") })
}

// told reports whether there is an event about web.
func told(t *testing.T, namespace, reason, prefix string) error {
	t.Helper()
	events, err := api.Client().CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, e := range events.Items {
		if e.Reason == reason && strings.HasPrefix(e.Message, prefix) && e.Source.Component == "replicaset-controller" && e.InvolvedObject.Name == "web" {
			return nil
		}
	}
	return fmt.Errorf("no event %s among %d", reason, len(events.Items))
}

// TestNoPodTooMany counts what is ever created: the cache always lags behind, and
// must not be trusted before it shows what was done.
func TestNoPodTooMany(t *testing.T) {
	const replicas = 60
	ns := api.Namespace(t)
	stream, err := api.Client().CoreV1().Pods(ns).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan map[watch.EventType]int, 1)
	go func() { seen <- countEvents(stream, replicas) }()
	create(t, ns, appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](replicas)})
	eventually(t, ns, "replicas=60 labelled=60 ready=0 available=0")
	scale(t, ns, 0)
	eventually(t, ns, "replicas=0 labelled=0 ready=0 available=0")
	if events := <-seen; events[watch.Added] != replicas || events[watch.Deleted] != replicas {
		t.Errorf("pods came and went for %d replicas: %v", replicas, events)
	}
}

// countEvents counts events until so many objects have gone.
func countEvents(stream watch.Interface, gone int) map[watch.EventType]int {
	defer stream.Stop()
	counts := map[watch.EventType]int{}
	for event := range stream.ResultChan() {
		if counts[event.Type]++; counts[watch.Deleted] == gone {
			break
		}
	}
	return counts
}

func TestReadyAndAvailable(t *testing.T) {
	ns := api.Namespace(t)
	create(t, ns, appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](2), MinReadySeconds: 3600})
	eventually(t, ns, "replicas=2 labelled=2 ready=0 available=0")
	for _, pod := range list(t, ns) {
		setStatus(t, pod, corev1.PodRunning, corev1.ConditionTrue)
	}
	eventually(t, ns, "replicas=2 labelled=2 ready=2 available=0")
	patch := []byte(`{"spec":{"minReadySeconds":1}}`) // which time alone fulfils
	apitest.Must(t)(api.Client().AppsV1().ReplicaSets(ns).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{}))
	eventually(t, ns, "replicas=2 labelled=2 ready=2 available=2")
}

func TestEndedPodIsReplaced(t *testing.T) {
	ns := api.Namespace(t)
	create(t, ns, appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](1)})
	eventually(t, ns, "replicas=1 labelled=1 ready=0 available=0")
	setStatus(t, list(t, ns)[0], corev1.PodFailed, corev1.ConditionFalse)
	apitest.Eventually(t, func() error {
		if pods := list(t, ns); len(pods) != 2 {
			return fmt.Errorf("%d pods", len(pods))
		}
		return nil
	})
	eventually(t, ns, "replicas=1 labelled=1 ready=0 available=0")
}

func TestAdoptionAndRelease(t *testing.T) {
	ns := api.Namespace(t)
	orphan, err := api.Client().CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "orphan", Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "web:1"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	create(t, ns, appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](1)})
	rs := eventually(t, ns, "replicas=1 labelled=1 ready=0 available=0")
	if pods := list(t, ns); len(pods) != 1 || !metav1.IsControlledBy(&pods[0], rs) {
		t.Fatalf("%d pods, the first of %v", len(pods), pods[0].OwnerReferences)
	}
	patch := []byte(`{"metadata":{"labels":{"app":"other"}}}`)
	apitest.Must(t)(api.Client().CoreV1().Pods(ns).Patch(t.Context(), orphan.Name, types.MergePatchType, patch, metav1.PatchOptions{}))
	apitest.Eventually(t, func() error {
		pods := list(t, ns)
		if len(pods) != 2 {
			return fmt.Errorf("%d pods", len(pods))
		}
		for _, pod := range pods {
			if metav1.IsControlledBy(&pod, rs) != (pod.Name != orphan.Name) {
				return fmt.Errorf("pod %s is of %v", pod.Name, pod.OwnerReferences)
			}
		}
		return nil
	})
}

func TestFailureIsReported(t *testing.T) {
	ns := api.Namespace(t)
	spec := appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](2)}
	spec.Template.Spec.PriorityClassName = "missing"
	create(t, ns, spec)
	eventually(t, ns, "replicas=0 labelled=0 ready=0 available=0 ReplicaFailure=True/FailedCreate")
	apitest.Eventually(t, func() error { return told(t, ns, "FailedCreate", "Error creating: ") })
	apitest.Must(t)(api.Client().SchedulingV1().PriorityClasses().Create(t.Context(), &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: "missing"}, Value: 1,
	}, metav1.CreateOptions{}))
	eventually(t, ns, "replicas=2 labelled=2 ready=0 available=0")
	if err := api.Client().SchedulingV1().PriorityClasses().Delete(t.Context(), "missing", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}
