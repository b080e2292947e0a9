package podgc

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/podstatus"
)

// view is all that the judgement of one pod depends on. It is not modified.
type view struct {
	Pod *corev1.Pod
	// Node is the pod's node, nil if there is none of that name; then Missing
	// is when that was first noticed.
	Node       *corev1.Node
	Missing    time.Time
	Quarantine time.Duration
	Now        time.Time
}

// verdict is what to do about one pod.
type verdict struct {
	// Collect fails the pod and removes it; Condition goes with it, if set.
	Collect   bool
	Condition *corev1.PodCondition
	// Confirm that the API knows no such node first: a cache may be wrong.
	Confirm bool
	// Wake is when to judge again; zero: after the next event.
	Wake time.Time
}

// judge says whether a pod has nobody left who would end it.
func judge(v view) verdict {
	pod := v.Pod
	if pod.DeletionTimestamp != nil && podstatus.IsTerminal(pod) && pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0 {
		return verdict{} // only finalizers hold it
	}
	switch {
	case pod.Spec.NodeName == "":
		return verdict{Collect: pod.DeletionTimestamp != nil}
	case v.Node != nil:
		return verdict{Collect: pod.DeletionTimestamp != nil && outOfService(v.Node)}
	}
	if end := v.Missing.Add(v.Quarantine); v.Now.Before(end) {
		return verdict{Wake: end}
	}
	return verdict{Collect: true, Confirm: true, Condition: &corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		Reason: "DeletionByPodGC", Message: "PodGC: node no longer exists",
	}}
}

// outOfService tells whether someone has declared a node dead: it is tainted
// so, and it is not ready.
func outOfService(node *corev1.Node) bool {
	tainted := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	return tainted && !ready
}

// excess returns the finished pods beyond the number that may stay: evicted
// ones first, then the oldest.
func excess(pods []*corev1.Pod, keep int) []*corev1.Pod {
	var all []*corev1.Pod
	for _, pod := range pods {
		if podstatus.IsTerminal(pod) {
			all = append(all, pod)
		}
	}
	if len(all) <= keep {
		return nil
	}
	slices.SortFunc(all, func(a, b *corev1.Pod) int {
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)),
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return all[:len(all)-keep]
}

func rank(pod *corev1.Pod) int {
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == "Evicted" {
		return 0
	}
	return 1
}
