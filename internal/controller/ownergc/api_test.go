package ownergc_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/apitest"
	"github.com/garrison-project/garrison/internal/controller/ownergc"
)

var api *apitest.API

func TestMain(m *testing.M) {
	os.Exit(apitest.Main(m, func(a *apitest.API) ([]apitest.Part, error) {
		api = a
		collector, err := ownergc.New(ownergc.Options{
			Discovery: a.Client().Discovery(), Metadata: a.Metadata,
			Informers: a.Informers(), Writer: a.Writer(),
		})
		return []apitest.Part{collector}, err
	}))
}

// owner makes a ConfigMap into a reference; what owns does not matter here.
func owner(o *corev1.ConfigMap) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: o.Name, UID: o.UID}
}

func blocking(o *corev1.ConfigMap) metav1.OwnerReference {
	r := owner(o)
	r.BlockOwnerDeletion = ptr.To(true)
	return r
}

// create makes a ConfigMap with owners.
func create(t *testing.T, namespace, name string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
	t.Helper()
	created, err := api.Client().CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func remove(t *testing.T, o *corev1.ConfigMap, policy metav1.DeletionPropagation) {
	t.Helper()
	if err := api.Client().CoreV1().ConfigMaps(o.Namespace).Delete(t.Context(), o.Name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, namespace, name string) (*corev1.ConfigMap, error) {
	return api.Client().CoreV1().ConfigMaps(namespace).Get(t.Context(), name, metav1.GetOptions{})
}

// hold puts a finalizer on an object, so that its deletion can be seen.
func hold(t *testing.T, o *corev1.ConfigMap, finalizers ...string) {
	t.Helper()
	current, err := get(t, o.Namespace, o.Name)
	if err == nil {
		current.Finalizers = slices.Concat(slices.DeleteFunc(current.Finalizers, func(f string) bool { return f == "example.com/hold" }), finalizers)
		_, err = api.Client().CoreV1().ConfigMaps(o.Namespace).Update(t.Context(), current, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestBackground(t *testing.T) {
	ns := api.Namespace(t)
	top := create(t, ns, "top")
	middle := create(t, ns, "middle", owner(top))
	create(t, ns, "bottom", owner(middle))
	stranger := create(t, ns, "stranger")
	remove(t, top, metav1.DeletePropagationBackground)
	for _, name := range []string{"top", "middle", "bottom"} {
		apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, name)) })
	}
	if _, err := get(t, ns, stranger.Name); err != nil {
		t.Error(err)
	}
}

func TestPodsGoWithTheirOwner(t *testing.T) {
	ns := api.Namespace(t)
	top := create(t, ns, "top")
	for i := range 20 {
		_, err := api.Writer().CreatePod(t.Context(), pod(ns, fmt.Sprint("pod-", i), owner(top)))
		if err != nil {
			t.Fatal(err)
		}
	}
	remove(t, top, metav1.DeletePropagationBackground)
	apitest.Eventually(t, func() error {
		left, err := api.Client().CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d pods left", len(left.Items))
		}
		return err
	})
}

func pod(namespace, name string, owners ...metav1.OwnerReference) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, OwnerReferences: owners},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "pause:3"}}},
	}
}

func TestDependentThatComesLate(t *testing.T) {
	ns := api.Namespace(t)
	top := create(t, ns, "top")
	remove(t, top, metav1.DeletePropagationBackground)
	create(t, ns, "late", owner(top))
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "late")) })
	// An owner nobody here has ever heard of is looked up.
	never := owner(top)
	never.UID = "9e9c8a0f-0000-4000-8000-000000000000"
	create(t, ns, "later", never)
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "later")) })
}

func TestNamesakeIsNotTheOwner(t *testing.T) {
	ns := api.Namespace(t)
	first := create(t, ns, "top")
	hold(t, first, "example.com/hold")
	remove(t, first, metav1.DeletePropagationBackground)
	child := create(t, ns, "child", owner(first))
	hold(t, first) // it goes, and another takes its name
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "top")) })
	create(t, ns, "top")
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, child.Name)) })
}

func TestOtherOwnerKeepsIt(t *testing.T) {
	ns := api.Namespace(t)
	one, two := create(t, ns, "one"), create(t, ns, "two")
	create(t, ns, "child", owner(one), owner(two))
	remove(t, one, metav1.DeletePropagationBackground)
	apitest.Eventually(t, func() error { return ownedBy(t, ns, "child", two.UID) })
	remove(t, two, metav1.DeletePropagationBackground)
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "child")) })
}

// ownedBy checks that exactly these own an object.
func ownedBy(t *testing.T, namespace, name string, owners ...types.UID) error {
	o, err := get(t, namespace, name)
	if err != nil {
		return err
	}
	var uids []types.UID
	for _, r := range o.OwnerReferences {
		uids = append(uids, r.UID)
	}
	if !slices.Equal(uids, owners) {
		return fmt.Errorf("%s is owned by %v, want %v", name, uids, owners)
	}
	return nil
}

func TestOwnerInAnotherNamespaceIsNone(t *testing.T) {
	ns := api.Namespace(t)
	other := api.Namespace(t)
	elsewhere := create(t, other, "elsewhere")
	create(t, ns, "child", owner(elsewhere))
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "child")) })
	if _, err := get(t, other, "elsewhere"); err != nil {
		t.Error(err)
	}
}

func TestOwnerOfUnknownKindKeepsIt(t *testing.T) {
	ns := api.Namespace(t)
	create(t, ns, "child", metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Widget", Name: "w", UID: "9e9c8a0f-0000-4000-8000-000000000001"})
	// What is created afterwards, and has to go, is gone first.
	top := create(t, ns, "top")
	create(t, ns, "other", owner(top))
	remove(t, top, metav1.DeletePropagationBackground)
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "other")) })
	if _, err := get(t, ns, "child"); err != nil {
		t.Error(err)
	}
}

func TestClusterScopedOwner(t *testing.T) {
	ns := api.Namespace(t)
	node, err := api.Client().CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "gc-node"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	create(t, ns, "child", metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID})
	apitest.Throughout(t, 200*time.Millisecond, func() error { _, err := get(t, ns, "child"); return err })
	if err := api.Client().CoreV1().Nodes().Delete(t.Context(), node.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "child")) })
}

func TestForeground(t *testing.T) {
	ns := api.Namespace(t)
	top := create(t, ns, "top")
	blocker := create(t, ns, "blocker", blocking(top))
	hold(t, blocker, "example.com/hold")
	create(t, ns, "free", owner(top))
	below := create(t, ns, "below", blocking(blocker))
	remove(t, top, metav1.DeletePropagationForeground)
	// All that can go goes, from below; the owner waits for what it must.
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, below.Name)) })
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "free")) })
	waiting := func() error {
		o, err := get(t, ns, "top")
		if err == nil && (o.DeletionTimestamp == nil || !slices.Contains(o.Finalizers, metav1.FinalizerDeleteDependents)) {
			err = errors.New("the owner does not wait")
		}
		return err
	}
	apitest.Throughout(t, 300*time.Millisecond, waiting)
	hold(t, blocker)
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "blocker")) })
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "top")) })
}

func TestForegroundInACircle(t *testing.T) {
	ns := api.Namespace(t)
	one := create(t, ns, "one")
	two := create(t, ns, "two", blocking(one))
	one.OwnerReferences = []metav1.OwnerReference{blocking(two)}
	apitest.Must(t)(api.Client().CoreV1().ConfigMaps(ns).Update(t.Context(), one, metav1.UpdateOptions{}))
	remove(t, one, metav1.DeletePropagationForeground)
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "one")) })
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "two")) })
}

func TestForegroundLeavesWhatHasAnotherOwner(t *testing.T) {
	ns := api.Namespace(t)
	top, other := create(t, ns, "top"), create(t, ns, "other")
	create(t, ns, "shared", blocking(top), owner(other))
	remove(t, top, metav1.DeletePropagationForeground)
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "top")) })
	if err := ownedBy(t, ns, "shared", other.UID); err != nil {
		t.Error(err)
	}
}

func TestOrphan(t *testing.T) {
	ns := api.Namespace(t)
	top := create(t, ns, "top")
	create(t, ns, "child", blocking(top))
	apitest.Must(t)(api.Writer().CreatePod(t.Context(), pod(ns, "pod", owner(top))))
	remove(t, top, metav1.DeletePropagationOrphan)
	apitest.Eventually(t, func() error { return apitest.Gone(get(t, ns, "top")) })
	if err := ownedBy(t, ns, "child"); err != nil {
		t.Error(err)
	}
	left, err := api.Client().CoreV1().Pods(ns).Get(t.Context(), "pod", metav1.GetOptions{})
	if err != nil || len(left.OwnerReferences) > 0 || left.DeletionTimestamp != nil {
		t.Errorf("pod %v, %v", left, err)
	}
	// A dependent that the caches had not shown in time is set free as well.
	create(t, ns, "late", owner(top))
	apitest.Eventually(t, func() error { return ownedBy(t, ns, "late") })
}

// BenchmarkBackground deletes an owner with 1,000 pods that no node has.
func BenchmarkBackground(b *testing.B) {
	const pods = 1000
	ctx := b.Context()
	ns := api.Namespace(b)
	configMaps := api.Client().CoreV1().ConfigMaps(ns)
	for b.Loop() {
		b.StopTimer()
		top, err := configMaps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "top"}}, metav1.CreateOptions{})
		if err != nil {
			b.Fatal(err)
		}
		workqueue.ParallelizeUntil(ctx, 32, pods, func(i int) {
			if _, err := api.Writer().CreatePod(ctx, pod(ns, fmt.Sprint("pod-", i), owner(top))); err != nil {
				b.Error(err)
			}
		})
		b.StartTimer()
		if err := configMaps.Delete(ctx, "top", metav1.DeleteOptions{}); err != nil {
			b.Fatal(err)
		}
		for left := 1; left > 0; time.Sleep(10 * time.Millisecond) {
			list, err := api.Client().CoreV1().Pods(ns).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
			if err != nil {
				b.Fatal(err)
			}
			left = len(list.Items)
		}
	}
}
