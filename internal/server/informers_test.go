package server

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

func TestInformerFollowsTheStore(t *testing.T) {
	ns := namespace(t)
	ctx := t.Context()
	before, err := shared.Writer().CreatePod(ctx, newPod(ns, "before"))
	if err != nil {
		t.Fatal(err)
	}
	pods := shared.Informers().Core().V1().Pods()
	index, image := "image of "+ns, ns+"/after:1" // as an index is there once
	byImage := cache.Indexers{index: func(obj any) ([]string, error) {
		return []string{obj.(*corev1.Pod).Spec.Containers[0].Image}, nil
	}}
	if err := pods.Informer().AddIndexers(byImage); err != nil {
		t.Fatal(err)
	}
	shared.Informers().Start(ctx.Done())
	shared.Informers().WaitForCacheSync(ctx.Done())
	// An admission plugin may have started the informer before: then it lists
	// no more, but follows.
	eventually(t, "a pod from before", func() bool {
		pod, err := pods.Lister().Pods(ns).Get("before")
		return err == nil && pod.ResourceVersion == before.ResourceVersion
	})

	after := newPod(ns, "after")
	after.Spec.Containers[0].Image = image
	created, err := shared.Writer().CreatePod(ctx, after)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a pod created through the writer", func() bool {
		found, err := pods.Informer().GetIndexer().ByIndex(index, image)
		return err == nil && len(found) == 1 && found[0].(*corev1.Pod).ResourceVersion == created.ResourceVersion
	})
	patch := []byte(`{"metadata":{"labels":{"a":"b"}}}`)
	if _, err := adminClient(t, shared).CoreV1().Pods(ns).Patch(ctx, "before", "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a pod changed over TLS", func() bool {
		found, err := pods.Lister().Pods(ns).List(labels.SelectorFromSet(labels.Set{"a": "b"}))
		return err == nil && len(found) == 1 && found[0].Name == "before"
	})
	if err := shared.Client().CoreV1().Pods(ns).Delete(ctx, "before", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a pod deleted", func() bool {
		_, err := pods.Lister().Pods(ns).Get("before")
		return err != nil
	})
}

// Consumers that ask for a kind by its resource get the informer that those get
// who ask by type.
func TestInformerForResourceIsShared(t *testing.T) {
	generic, err := shared.Informers().ForResource(corev1.SchemeGroupVersion.WithResource("pods"))
	if err != nil {
		t.Fatal(err)
	}
	if typed := shared.Informers().Core().V1().Pods().Informer(); generic.Informer().GetIndexer() != typed.GetIndexer() {
		t.Error("two informers for pods")
	}
	if _, err := shared.Informers().ForResource(corev1.SchemeGroupVersion.WithResource("unknown")); err == nil {
		t.Error("an informer for a resource that is not stored")
	}
}

// watchStore watches ConfigMaps of all namespaces as an informer does.
func watchStore(t *testing.T, o metav1.ListOptions) watch.Interface {
	t.Helper()
	lw := &storeListWatch{shared.served.Store(corev1.Resource("configmaps")), shared.store.Latest}
	w, err := lw.WatchWithContext(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

func TestDirectWatchList(t *testing.T) {
	ns := namespace(t)
	for i := range 3 {
		if _, err := shared.Client().CoreV1().ConfigMaps(ns).Create(t.Context(), configMap(fmt.Sprint("a", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	yes := true
	w := watchStore(t, metav1.ListOptions{
		SendInitialEvents:    &yes,
		AllowWatchBookmarks:  true,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	seen := 0
	for e := range w.ResultChan() {
		object := e.Object.(*corev1.ConfigMap)
		if e.Type == watch.Bookmark {
			if object.Annotations[metav1.InitialEventsAnnotationKey] != "true" || object.ResourceVersion == "" {
				t.Errorf("bookmark %v", object.ObjectMeta)
			}
			break
		}
		if object.Namespace == ns {
			seen++
		}
	}
	if seen != 3 {
		t.Errorf("%d initial events, want 3", seen)
	}
}

// With several watchers the cache hands out a wrapper that shares encodings, with
// few a copy for each; informers must see the object itself.
func TestDirectWatchAmongMany(t *testing.T) {
	ns := namespace(t)
	list, err := shared.Client().CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var watches []watch.Interface
	for range 5 {
		watches = append(watches, watchStore(t, metav1.ListOptions{ResourceVersion: list.ResourceVersion}))
	}
	if _, err := shared.Client().CoreV1().ConfigMaps(ns).Create(t.Context(), configMap("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, w := range watches {
		e := <-w.ResultChan()
		object := e.Object.(*corev1.ConfigMap)
		if e.Type != watch.Added || object.Namespace != ns || object.Kind != "" {
			t.Errorf("got %s of %v", e.Type, object)
		}
		if held := shared.store.Latest(corev1.Resource("configmaps"), object.UID, object.ResourceVersion); e.Object != held {
			t.Errorf("got a copy, not what is cached: %v", held)
		}
	}
}

// A server that was restarted does not know what happened before. An informer
// that asks for it must be told to list again.
func TestDirectWatchOfForgottenVersionIsExpired(t *testing.T) {
	cfg := Config{DataDir: t.TempDir()}
	first, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Shutdown(); err != nil {
		t.Fatal(err)
	}
	second := start(t, cfg)
	lw := &storeListWatch{second.served.Store(corev1.Resource("configmaps")), second.store.Latest}
	w, err := lw.Watch(metav1.ListOptions{ResourceVersion: "1"})
	if err == nil {
		defer w.Stop()
		err = apierrors.FromObject((<-w.ResultChan()).Object)
	}
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("got %v, want Expired", err)
	}
}
