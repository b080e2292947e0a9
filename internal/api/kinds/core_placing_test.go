package kinds_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// onNodeA places pods that are labelled place=here, and counts.
type onNodeA struct {
	asked, stored, failed int
	last                  *corev1.Pod
}

func (p *onNodeA) Place(pod *corev1.Pod) (string, func(*corev1.Pod)) {
	p.asked++
	if pod.Labels["place"] != "here" {
		return "", nil
	}
	return "a", func(stored *corev1.Pod) {
		if p.last = stored; stored == nil {
			p.failed++
		} else {
			p.stored++
		}
	}
}

// A pod that is placed is stored with its node, as if it had been bound. The placer
// hears how the write went, and nothing of what is refused before or rehearsed.
func TestPodsAreStoredBound(t *testing.T) {
	c := startCluster(t)
	placer := &onNodeA{}
	c.set.PlaceWith(placer)
	pods := c.CoreV1().Pods("default")
	create := func(name string, o metav1.CreateOptions, change func(*corev1.Pod)) (*corev1.Pod, error) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"place": "here"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		}
		if change != nil {
			change(pod)
		}
		return pods.Create(t.Context(), pod, o)
	}
	check := func(asked, stored, failed int) {
		t.Helper()
		if placer.asked != asked || placer.stored != stored || placer.failed != failed {
			t.Errorf("asked %d times, %d stored, %d failed; want %d, %d, %d",
				placer.asked, placer.stored, placer.failed, asked, stored, failed)
		}
	}

	created, err := create("placed", metav1.CreateOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(1, 1, 0)
	if placer.last.ResourceVersion != created.ResourceVersion || placer.last.UID != created.UID {
		t.Errorf("the placer was told of %s, which is not %s", placer.last.ObjectMeta.String(), created.ObjectMeta.String())
	}
	if _, err := create("bound", metav1.CreateOptions{}, func(p *corev1.Pod) { p.Labels = nil }); err != nil {
		t.Fatal(err)
	}
	check(2, 1, 0)
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "bound"}, Target: corev1.ObjectReference{Kind: "Node", Name: "a"}}
	if err := pods.Bind(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	sameScheduling(t, get(t, c, "placed"), get(t, c, "bound"))

	// Once more: the name is taken.
	if _, err := create("placed", metav1.CreateOptions{}, nil); !apierrors.IsAlreadyExists(err) {
		t.Errorf("got %v, want that it exists", err)
	}
	check(3, 1, 1)
	if _, err := create("rehearsed", metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}, nil); err != nil {
		t.Error(err)
	}
	if _, err := create("invalid", metav1.CreateOptions{}, func(p *corev1.Pod) { p.Spec.Containers = nil }); !apierrors.IsInvalid(err) {
		t.Errorf("got %v, want that it is invalid", err)
	}
	check(3, 1, 1)
}

func get(t *testing.T, c *cluster, name string) *corev1.Pod {
	t.Helper()
	pod, err := c.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func sameScheduling(t *testing.T, a, b *corev1.Pod) {
	t.Helper()
	if a.Spec.NodeName != "a" || b.Spec.NodeName != "a" {
		t.Errorf("on the nodes %q and %q", a.Spec.NodeName, b.Spec.NodeName)
	}
	for _, pod := range []*corev1.Pod{a, b} {
		if c := pod.Status.Conditions; len(c) != 1 || c[0].Type != corev1.PodScheduled || c[0].Status != corev1.ConditionTrue || c[0].LastTransitionTime.IsZero() {
			t.Errorf("%s has the conditions %v", pod.Name, c)
		}
		if pod.Status.Phase != corev1.PodPending || pod.Generation != 1 {
			t.Errorf("%s is %s in generation %d", pod.Name, pod.Status.Phase, pod.Generation)
		}
	}
}
