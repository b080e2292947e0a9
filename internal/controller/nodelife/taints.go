package nodelife

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// taintView is all that a node's taints depend on. It is not modified.
type taintView struct {
	Node  *corev1.Node
	Ready corev1.ConditionStatus // as judged
	// Blackout: no node anywhere is ready, so nothing is evicted.
	Blackout bool
	// Turn: it is this node's turn to have its pods evicted.
	Turn bool
	Now  metav1.Time
}

// byCondition are the NoSchedule taints that follow a condition that is True.
var byCondition = []struct {
	condition corev1.NodeConditionType
	taint     string
}{
	{corev1.NodeMemoryPressure, corev1.TaintNodeMemoryPressure},
	{corev1.NodeDiskPressure, corev1.TaintNodeDiskPressure},
	{corev1.NodePIDPressure, corev1.TaintNodePIDPressure},
	{corev1.NodeNetworkUnavailable, corev1.TaintNodeNetworkUnavailable},
}

// taints returns the taints a node should have, or nil if it has them. Taints
// of other keys are nobody's business here.
func taints(v taintView) []corev1.Taint {
	all := slices.Clone(v.Node.Spec.Taints)
	set := func(key string, effect corev1.TaintEffect, want bool) {
		match := func(t corev1.Taint) bool { return t.Key == key && t.Effect == effect }
		switch has := slices.ContainsFunc(all, match); {
		case want && !has:
			all = append(all, corev1.Taint{Key: key, Effect: effect, TimeAdded: &v.Now})
		case !want && has:
			all = slices.DeleteFunc(all, match)
		}
	}
	for _, pair := range byCondition {
		c := condition(v.Node, pair.condition)
		set(pair.taint, corev1.TaintEffectNoSchedule, c != nil && c.Status == corev1.ConditionTrue)
	}
	set(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule, v.Node.Spec.Unschedulable)
	// A node that has not reported yet keeps what admission gave it.
	if v.Ready != "" {
		set(corev1.TaintNodeNotReady, corev1.TaintEffectNoSchedule, v.Ready == corev1.ConditionFalse)
		set(corev1.TaintNodeUnreachable, corev1.TaintEffectNoSchedule, v.Ready == corev1.ConditionUnknown)
		evict := !v.Blackout && (v.Turn || evicting(v.Node))
		set(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute, evict && v.Ready == corev1.ConditionFalse)
		set(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute, evict && v.Ready == corev1.ConditionUnknown)
	}
	if slices.EqualFunc(all, v.Node.Spec.Taints, func(a, b corev1.Taint) bool { return a.MatchTaint(&b) && a.Value == b.Value }) {
		return nil
	}
	return all
}

// evicting tells whether a node's pods are being evicted already. A node that
// goes from one kind of bad to another need not wait for its turn again.
func evicting(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute && (t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable)
	})
}
