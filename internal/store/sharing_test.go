package store

import (
	"context"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

func sharedPod(uid, image, memory string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p-" + uid, UID: types.UID(uid), Labels: map[string]string{"app": "a"}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "c", Image: image,
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"memory": resource.MustParse(memory)}},
			}},
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		},
	}
}

// deliver passes an object through and fails if it comes out different.
func deliver[T runtime.Object](t *testing.T, v *versions, event watch.EventType, obj T) T {
	t.Helper()
	want := obj.DeepCopyObject()
	out, kept := v.pass(watch.Event{Type: event, Object: obj})
	if !kept || out.Type != event || !reflect.DeepEqual(out.Object, want) {
		t.Errorf("%s of %v came out as %s of %v", event, want, out.Type, out.Object)
	}
	return out.Object.(T)
}

func TestVersionsShareWhatIsEqual(t *testing.T) {
	v := newVersions()
	first := deliver(t, v, watch.Added, sharedPod("1", "i:1", "1Gi"))
	for name, next := range map[string]*corev1.Pod{
		"next version": deliver(t, v, watch.Modified, sharedPod("1", "i:1", "1Gi")),
		"sibling":      deliver(t, v, watch.Added, sharedPod("2", "i:1", "1Gi")),
	} {
		if &next.Spec.Containers[0] != &first.Spec.Containers[0] {
			t.Errorf("%s: containers are not shared", name)
		}
		if &next.Spec.Tolerations[0] != &first.Spec.Tolerations[0] {
			t.Errorf("%s: tolerations are not shared", name)
		}
		if reflect.ValueOf(next.Labels).Pointer() != reflect.ValueOf(first.Labels).Pointer() {
			t.Errorf("%s: labels are not shared", name)
		}
	}
}

// timed is an object in the wrapping in which etcd's watch delivers it.
type timed struct{ *corev1.Pod }

func (timed) RecordTime() time.Time    { return time.Time{} }
func (t timed) Unwrap() runtime.Object { return t.Pod }

func TestVersionsShareWhatIsWrapped(t *testing.T) {
	v := newVersions()
	first, second := sharedPod("1", "i:1", "1Gi"), sharedPod("1", "i:1", "1Gi")
	v.pass(watch.Event{Type: watch.Added, Object: timed{first}})
	if out, _ := v.pass(watch.Event{Type: watch.Modified, Object: timed{second}}); out.Object != (timed{second}) {
		t.Errorf("came out as %v", out.Object)
	}
	if &second.Spec.Containers[0] != &first.Spec.Containers[0] {
		t.Error("containers are not shared")
	}
}

// What differs stays, even where Kubernetes takes it for equal.
func TestVersionsKeepWhatDiffers(t *testing.T) {
	v := newVersions()
	deliver(t, v, watch.Added, sharedPod("1", "i:1", "1Gi"))
	deliver(t, v, watch.Modified, sharedPod("1", "i:2", "1Gi"))
	deliver(t, v, watch.Modified, sharedPod("1", "i:2", "1073741824"))
	labelled := sharedPod("1", "i:2", "1073741824")
	labelled.Labels["b"] = ""
	deliver(t, v, watch.Modified, labelled)
	deliver(t, v, watch.Added, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "n"}})
	deliver(t, v, watch.Bookmark, &corev1.Pod{})
	deliver(t, v, watch.Error, &metav1.Status{})
}

func TestVersionsForgetWhatIsDeleted(t *testing.T) {
	v := newVersions()
	deliver(t, v, watch.Added, sharedPod("1", "i:1", "1Gi"))
	deliver(t, v, watch.Deleted, sharedPod("1", "i:1", "1Gi"))
	if len(v.last) != 0 {
		t.Errorf("%d objects are kept", len(v.last))
	}
}

// given is a storage with one watch.
type given struct {
	storage.Interface
	watch watch.Interface
}

func (g given) Watch(context.Context, string, storage.ListOptions) (watch.Interface, error) {
	return g.watch, nil
}

func TestLatestIsWhatWasDeliveredLast(t *testing.T) {
	source := watch.NewFake()
	s := &sharing{Interface: given{watch: source}}
	if got := s.latest("1", "1"); got != nil {
		t.Errorf("before the first watch: %v", got)
	}
	w, err := s.Watch(t.Context(), "", storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	at := func(version string) *corev1.Pod {
		pod := sharedPod("1", "i:1", "1Gi")
		pod.Kind, pod.ResourceVersion = "Pod", version
		return pod
	}
	for _, send := range []struct {
		with func(runtime.Object)
		pod  *corev1.Pod
		held bool
	}{{source.Add, at("1"), true}, {source.Modify, at("2"), true}, {source.Delete, at("3"), false}} {
		go send.with(send.pod)
		<-w.ResultChan()
		if got := s.latest("1", send.pod.ResourceVersion); (got == send.pod) != send.held {
			t.Errorf("version %s: got %v", send.pod.ResourceVersion, got)
		}
		if got := s.latest("1", "1"); got != nil && send.pod.ResourceVersion != "1" {
			t.Errorf("an old version: %v", got)
		}
		if send.pod.Kind != "" {
			t.Errorf("version %s has kind %s", send.pod.ResourceVersion, send.pod.Kind)
		}
	}
}
