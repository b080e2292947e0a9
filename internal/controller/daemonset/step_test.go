package daemonset

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/view"
)

func TestFirstRollout(t *testing.T) {
	b := newBench(t)
	b.addNodes("a", "b", "c")
	b.apply(nil)
	b.complete()
	ds := b.daemonSet()
	if ds.Status.DesiredNumberScheduled != 3 || ds.Status.NumberReady != 3 {
		t.Errorf("status: %+v", ds.Status)
	}
	revisions := b.revisions()
	if len(revisions) != 1 || revisions[0].Revision != 1 {
		t.Fatalf("revisions: %v", revisions)
	}
	hash := revisions[0].Labels[appsv1.DefaultDaemonSetUniqueLabelKey]
	for _, pod := range b.pods() {
		if pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey] != hash || pod.Labels["pod-template-generation"] != "1" || !view.Controls(ds, &pod) {
			t.Errorf("pod %s: labels %v, owners %v", pod.Name, pod.Labels, pod.OwnerReferences)
		}
	}
	for _, c := range []struct {
		kind   string
		status corev1.ConditionStatus
	}{{rollout.Available, corev1.ConditionTrue}, {rollout.Progressing, corev1.ConditionFalse}, {rollout.Blocked, corev1.ConditionFalse}} {
		i := slices.IndexFunc(ds.Status.Conditions, func(d appsv1.DaemonSetCondition) bool { return string(d.Type) == c.kind })
		if i < 0 || ds.Status.Conditions[i].Status != c.status {
			t.Errorf("condition %s: %+v", c.kind, ds.Status.Conditions)
		}
	}
}

// However often it is asked, and however far the caches are behind, there is
// one pod for each node, also when the controller forgets everything at once.
func TestRepeatedTurnsCreateOnce(t *testing.T) {
	b := newBench(t)
	b.idle = true
	b.addNodes("a", "b", "c", "d", "e")
	b.apply(nil)
	b.until("pods", func() bool {
		b.c.forget(b.key)
		if n := len(b.pods()); n > 5 {
			t.Fatalf("%d pods: %s", n, describe(b.pods()))
		}
		return len(b.pods()) == 5
	})
	for range 20 {
		b.c.forget(b.key)
		if err := b.step(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.pods()); n != 5 {
		t.Errorf("%d pods: %s", n, describe(b.pods()))
	}
}

func TestRollingUpdateAndRollback(t *testing.T) {
	b := newBench(t)
	b.addNodes("a", "b", "c")
	b.apply(func(ds *appsv1.DaemonSet) {
		two := intstr.FromInt32(2)
		ds.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &two}
	})
	b.complete()
	first := names(b.pods())
	b.setImage("image:non-existent")
	b.until("update of two nodes", func() bool {
		updated := 0
		for _, p := range b.pods() {
			if p.Spec.Containers[0].Image == "image:non-existent" && p.DeletionTimestamp == nil {
				updated++
			}
		}
		return updated == 2 && b.daemonSet().Status.UpdatedNumberScheduled == 2
	})
	kept := slices.DeleteFunc(b.pods(), func(p corev1.Pod) bool { return p.Spec.Containers[0].Image != "image:1" })
	if len(kept) != 1 || kept[0].Name != first[b.node("c")] {
		t.Fatalf("not the last by name was kept: %s", describe(b.pods()))
	}
	b.setImage("image:1")
	b.complete()
	if got := names(b.pods())[b.node("c")]; got != first[b.node("c")] {
		t.Errorf("the rollback restarted pod %s, now %s", first[b.node("c")], got)
	}
	revisions := b.revisions()
	if len(revisions) != 2 || revisions[0].Revision != 2 || revisions[1].Revision != 3 || !strings.Contains(string(revisions[1].Data.Raw), "image:1") {
		t.Errorf("the first revision was not raised: %+v", revisions)
	}
}

func TestSurge(t *testing.T) {
	b := newBench(t)
	b.addNodes("a", "b")
	b.apply(func(ds *appsv1.DaemonSet) {
		none, one := intstr.FromInt32(0), intstr.FromInt32(1)
		ds.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &none, MaxSurge: &one}
	})
	b.complete()
	b.setImage("image:2")
	b.until("surge", func() bool {
		ready := map[string]bool{}
		for _, p := range b.pods() {
			if p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
				ready[target(&p)] = true
			}
		}
		if len(ready) < 2 {
			t.Fatalf("a node without a running pod: %s", describe(b.pods()))
		}
		st := b.daemonSet().Status
		return st.UpdatedNumberScheduled == 2 && st.NumberAvailable == 2 && len(b.pods()) == 2
	})
}

func TestHistoryIsPruned(t *testing.T) {
	b := newBench(t)
	b.addNodes("a")
	b.apply(func(ds *appsv1.DaemonSet) { ds.Spec.RevisionHistoryLimit = new(int32) })
	b.complete()
	b.setImage("image:2")
	b.complete()
	b.until("pruning", func() bool { return len(b.revisions()) == 1 })
	if r := b.revisions()[0]; r.Revision != 2 {
		t.Errorf("revision %d was kept", r.Revision)
	}
}

func TestDuplicateRevisionsAreMerged(t *testing.T) {
	b := newBench(t)
	b.addNodes("a", "b")
	b.apply(nil)
	b.complete()
	before := names(b.pods())
	twin := b.revisions()[0].DeepCopy()
	twin.ObjectMeta = metav1.ObjectMeta{
		Name: "ds-twin", Namespace: b.namespace, OwnerReferences: twin.OwnerReferences,
		Labels: map[string]string{"app": "ds", appsv1.DefaultDaemonSetUniqueLabelKey: "twin"},
	}
	twin.Revision = 7
	must(t, b.client.AppsV1().ControllerRevisions(b.namespace).Create, t.Context(), twin)
	b.until("merge", func() bool {
		for _, p := range b.pods() {
			if p.Labels[appsv1.DefaultDaemonSetUniqueLabelKey] != "twin" {
				return false
			}
		}
		return len(b.revisions()) == 1
	})
	b.complete()
	if after := names(b.pods()); !maps.Equal(before, after) {
		t.Errorf("pods were restarted: %v, then %v", before, after)
	}
}

func TestHashCollision(t *testing.T) {
	b := newBench(t)
	b.addNodes("a")
	b.apply(nil)
	b.complete()
	b.setImage("image:2")
	taken := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: "ds-" + view.TemplateHash(b.daemonSet())},
		Revision:   1,
	}
	taken.Data.Raw = []byte(`{"of":"another"}`)
	must(t, b.client.AppsV1().ControllerRevisions(b.namespace).Create, t.Context(), taken)
	b.complete()
	if count := b.daemonSet().Status.CollisionCount; count == nil || *count != 1 {
		t.Errorf("collision count: %v", count)
	}
}

func TestAdoptionAndRelease(t *testing.T) {
	b := newBench(t)
	b.addNodes("a", "b")
	b.apply(nil)
	b.complete()
	before := b.pods()
	// Orphaned by a deletion, and adopted by its successor without a restart.
	orphan := metav1.DeletePropagationOrphan
	err := b.client.AppsV1().DaemonSets(b.namespace).Delete(t.Context(), "ds", metav1.DeleteOptions{PropagationPolicy: &orphan})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"pods", "revisions"} {
		b.orphanAll(kind)
	}
	b.removeFinalizers()
	b.apply(nil)
	b.complete()
	if after := b.pods(); !maps.Equal(names(before), names(after)) || !b.controls(&after[0]) || !b.controls(&after[1]) {
		t.Errorf("not adopted as they were: %s", describe(after))
	}
	if n := len(b.revisions()); n != 1 {
		t.Errorf("%d revisions", n)
	}
	// A pod that stops matching is let go, and replaced.
	patch := []byte(`{"metadata":{"labels":{"app":"other"}}}`)
	if _, err := b.client.CoreV1().Pods(b.namespace).Patch(t.Context(), before[0].Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	b.until("release", func() bool { return len(b.pods()) == 3 })
	for _, p := range b.pods() {
		if b.controls(&p) == (p.Name == before[0].Name) {
			t.Errorf("pod %s: owners %v", p.Name, p.OwnerReferences)
		}
	}
}

// orphanAll takes the owners from all pods or revisions, as garbage collection
// does.
func (b *bench) orphanAll(kind string) {
	b.Helper()
	patch := []byte(`{"metadata":{"ownerReferences":null}}`)
	var err error
	if kind == "pods" {
		for _, p := range b.pods() {
			_, err = b.client.CoreV1().Pods(b.namespace).Patch(b.Context(), p.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		}
	} else {
		for _, r := range b.revisions() {
			_, err = b.client.AppsV1().ControllerRevisions(b.namespace).Patch(b.Context(), r.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		}
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) removeFinalizers() {
	b.Helper()
	patch := []byte(`{"metadata":{"finalizers":null}}`)
	_, err := b.client.AppsV1().DaemonSets(b.namespace).Patch(b.Context(), "ds", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		b.Fatal(err)
	}
}

// A DaemonSet that is being deleted neither creates nor adopts.
func TestDeletionIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.addNodes("a")
	b.apply(func(ds *appsv1.DaemonSet) { ds.Finalizers = []string{"example.com/hold"} })
	b.complete()
	if err := b.client.AppsV1().DaemonSets(b.namespace).Delete(t.Context(), "ds", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := b.pods()
	b.until("deletion in the caches", func() bool {
		ds, err := b.c.sets.DaemonSets(b.namespace).Get("ds")
		return err == nil && ds.DeletionTimestamp != nil
	})
	b.end(&pods[0])
	b.until("pod gone from the caches", func() bool {
		_, err := b.c.pods.Pods(b.namespace).Get(pods[0].Name)
		return apierrors.IsNotFound(err)
	})
	for range 3 {
		if err := b.step(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.pods()); n != 0 {
		t.Errorf("%d pods", n)
	}
	b.removeFinalizers()
}

func TestFailedPodIsReplaced(t *testing.T) {
	b := newBench(t)
	b.addNodes("a")
	b.apply(nil)
	b.complete()
	failed := b.pods()[0]
	b.setPhase(&failed, corev1.PodFailed)
	b.until("replacement", func() bool {
		pods := b.pods()
		return len(pods) == 1 && pods[0].Name != failed.Name
	})
	want := fmt.Sprintf("Warning FailedDaemonPod Found failed daemon pod %s/%s on node %s, will try to kill it", b.namespace, failed.Name, b.node("a"))
	if told := b.told(); !slices.Contains(told, want) {
		t.Errorf("events: %q, want %q", told, want)
	}
}

// Many creates make one event, not one each.
func TestEventsAreGathered(t *testing.T) {
	b := newBench(t)
	var nodes []string
	for i := range 40 {
		nodes = append(nodes, fmt.Sprint("n", i))
	}
	b.addNodes(nodes...)
	b.idle = true
	b.until("nodes in the caches", func() bool {
		seen := slices.DeleteFunc(slices.Clone(b.c.roster.get().Nodes()), func(n *corev1.Node) bool {
			return n.Labels["test"] != b.namespace || len(n.Spec.Taints) > 0
		})
		return len(seen) == len(nodes)
	})
	b.apply(nil)
	b.until("pods", func() bool { return len(b.pods()) == len(nodes) })
	told := b.told()
	if len(told) > 3 {
		t.Errorf("%d events: %q", len(told), told)
	}
	if !slices.ContainsFunc(told, func(e string) bool { return strings.Contains(e, "and 35 more") }) {
		t.Errorf("events: %q", told)
	}
}

func TestStatusOfOthersStays(t *testing.T) {
	b := newBench(t)
	b.addNodes("a")
	b.apply(nil)
	b.complete()
	ds := b.daemonSet()
	ds.Status.Conditions = append(ds.Status.Conditions, appsv1.DaemonSetCondition{Type: "Foreign", Status: corev1.ConditionTrue})
	ds.Status.NumberReady = 17
	if _, err := b.client.AppsV1().DaemonSets(b.namespace).UpdateStatus(t.Context(), ds, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.until("repair of the counter", func() bool { return b.daemonSet().Status.NumberReady == 1 })
	if !slices.ContainsFunc(b.daemonSet().Status.Conditions, func(c appsv1.DaemonSetCondition) bool { return c.Type == "Foreign" }) {
		t.Error("the condition is gone")
	}
}

func TestSelectingAll(t *testing.T) {
	b := newBench(t)
	ds := b.apply(nil)
	all := ds.DeepCopy()
	all.Spec.Selector = &metav1.LabelSelector{}
	if !selectsEverything(all.Spec.Selector) || selectsEverything(ds.Spec.Selector) || selectsEverything(nil) {
		t.Error("an empty selector was not told from others")
	}
}
