package place

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Verdict says whether a node should have a pod.
type Verdict struct {
	// Run: a node without the pod should get it. Implies Continue.
	Run bool
	// Continue: a pod that is already there may stay.
	Continue bool
	// Grace: a pod that is there has to leave only because of other pods,
	// which come and go, so it leaves after a grace. Implies not Continue.
	Grace bool
	// Reasons is all that speaks against running, in the order of the
	// filters; empty exactly if Run.
	Reasons []Reason
}

// Eligible decides whether the node should have the pod, from three things
// only: the node's name, its taints, and its labels against the node selector
// and required node affinity. Resources, ports, readiness and
// spec.unschedulable do not matter. Of the node it reads metadata.name,
// metadata.labels and spec.taints, so a verdict may be kept until
// EligibilityChanged says otherwise. It allocates nothing if the answer is yes.
func Eligible(s *Subject, n *corev1.Node) Verdict {
	return verdict(s.againstNode(n, nil))
}

func verdict(reasons []Reason) Verdict {
	return Verdict{
		Run:      len(reasons) == 0,
		Continue: !slices.ContainsFunc(reasons, drivesOut),
		Reasons:  reasons,
	}
}

// drivesOut reports whether a reason ends a pod that is already there:
// NoSchedule keeps pods from coming, not from staying.
func drivesOut(r Reason) bool {
	taint, ok := r.(UntoleratedTaint)
	return !ok || taint.Effect == corev1.TaintEffectNoExecute
}

// againstNode appends what speaks against the node as its operators have
// described it, whatever runs there.
func (s *Subject) againstNode(n *corev1.Node, out []Reason) []Reason {
	if s.nodeName != "" && s.nodeName != n.Name {
		out = append(out, NodeNameMismatch{Wanted: s.nodeName, Got: n.Name})
	}
	out = s.againstTaints(n, out)
	return s.againstLabels(n, out)
}

func (s *Subject) againstTaints(n *corev1.Node, out []Reason) []Reason {
	for i := range n.Spec.Taints {
		taint := &n.Spec.Taints[i]
		if excludes(taint.Effect) && !tolerates(s.tolerations, taint) {
			out = append(out, UntoleratedTaint{Key: taint.Key, Value: taint.Value, Effect: taint.Effect})
		}
	}
	return out
}

func (s *Subject) againstLabels(n *corev1.Node, out []Reason) []Reason {
	for _, pair := range s.nodeSelector {
		if !pair.matches(n) {
			out = append(out, NodeSelectorMismatch{Key: pair.key, Wanted: pair.value, Got: labelOf(n, pair.key)})
		}
	}
	if s.required != nil && !s.required.match(n) {
		out = append(out, s.required.mismatch(n))
	}
	return out
}

// matchesLabels reports whether node selector and required node affinity hold.
func (s *Subject) matchesLabels(n *corev1.Node) bool {
	for _, pair := range s.nodeSelector {
		if !pair.matches(n) {
			return false
		}
	}
	return s.required == nil || s.required.match(n)
}

// EligibilityChanged reports whether anything that Eligible reads differs
// between two states of a node. Heartbeats and other status do not count.
func EligibilityChanged(old, updated *corev1.Node) bool {
	return old.Name != updated.Name ||
		!maps.Equal(old.Labels, updated.Labels) ||
		!slices.EqualFunc(old.Spec.Taints, updated.Spec.Taints, sameTaint)
}

func sameTaint(a, b corev1.Taint) bool {
	return a.Key == b.Key && a.Value == b.Value && a.Effect == b.Effect
}
