package kinds_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
)

// next returns the type and name of the next event.
func next(t *testing.T, w watch.Interface) string {
	t.Helper()
	select {
	case e, ok := <-w.ResultChan():
		if !ok {
			t.Fatal("the watch ended")
		}
		o, ok := e.Object.(metav1.Object)
		if !ok {
			t.Fatalf("watched a %T: %v", e.Object, e.Object)
		}
		return fmt.Sprintf("%s %s", e.Type, o.GetName())
	case <-time.After(time.Minute):
		t.Fatal("nothing happened for a minute")
	}
	return ""
}

func expect(t *testing.T, w watch.Interface, want ...string) {
	t.Helper()
	for _, e := range want {
		if got := next(t, w); got != e {
			t.Fatalf("saw %q, want %q", got, e)
		}
	}
}

func newPod(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i:1"}}},
	}
}

// TestWatchPodsOfNode follows the pods of one node, as its agent does: a pod
// comes when it is bound, whatever its life was before.
func TestWatchPodsOfNode(t *testing.T) {
	c := startCluster(t)
	ctx := t.Context()
	pods := c.CoreV1().Pods("default")
	create := func(name, node string) {
		t.Helper()
		if _, err := pods.Create(ctx, newPod(name, node), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create("early", "one")
	w, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=one"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	expect(t, w, "ADDED early")
	create("elsewhere", "two")
	create("unbound", "")
	err = pods.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "unbound"}, Target: corev1.ObjectReference{Name: "one"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, w, "ADDED unbound")
	if err := pods.Delete(ctx, "elsewhere", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	if err := pods.Delete(ctx, "unbound", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(t, w, "MODIFIED unbound")
	if err := pods.Delete(ctx, "unbound", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	// Ending it at once shortens the grace period first.
	expect(t, w, "MODIFIED unbound", "DELETED unbound")
}

// TestWatchEvents sees an event written through one group in the other's form.
func TestWatchEvents(t *testing.T) {
	c := startCluster(t)
	ctx := t.Context()
	w, err := c.EventsV1().Events("default").Watch(ctx, metav1.ListOptions{FieldSelector: "regarding.name=web"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for _, name := range []string{"other", "web"} {
		_, err := c.CoreV1().Events("default").Create(ctx, &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: "about-" + name},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: name},
			Message:        "about " + name,
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	e := <-w.ResultChan()
	if got, ok := e.Object.(*eventsv1.Event); !ok || got.Name != "about-web" || got.Note != "about web" {
		t.Errorf("saw %s of %T: %v", e.Type, e.Object, e.Object)
	}
}

// TestWatchList streams what there is, then says that this was all.
func TestWatchList(t *testing.T) {
	c := startCluster(t)
	ctx := t.Context()
	for _, name := range []string{"a", "b"} {
		if _, err := c.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{
		SendInitialEvents:    ptr.To(true),
		AllowWatchBookmarks:  true,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	expect(t, w, "ADDED a", "ADDED b")
	e := <-w.ResultChan()
	if n, ok := e.Object.(*corev1.Node); e.Type != watch.Bookmark || !ok || n.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("saw %s of %v, want the end of the initial events", e.Type, e.Object)
	}
}
