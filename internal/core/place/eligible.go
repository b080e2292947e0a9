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
	// Reasons is all that speaks against running, in the order of the
	// filters; empty exactly if Run.
	Reasons []Reason
}

// Eligible decides whether the node should have the pod, from three things
// only: the node's name, the node selector and required node affinity against
// its labels, and its taints. Resources, ports, readiness and
// spec.unschedulable do not matter. Of the node it reads metadata.name,
// metadata.labels and spec.taints, so a verdict may be kept until
// EligibilityChanged says otherwise. It allocates nothing if the answer is yes.
func Eligible(s *Subject, n *corev1.Node) Verdict {
	v := Verdict{Run: true, Continue: true}
	if s.nodeName != "" && s.nodeName != n.Name {
		v.refuse(NodeNameMismatch{Wanted: s.nodeName, Got: n.Name}, leave)
	}
	s.filterLabels(n, &v)
	s.filterTaints(n, &v)
	return v
}

func (s *Subject) filterLabels(n *corev1.Node, v *Verdict) {
	for _, pair := range s.nodeSelector {
		if !pair.matches(n) {
			v.refuse(NodeSelectorMismatch{Key: pair.key, Wanted: pair.value, Got: labelOf(n, pair.key)}, leave)
		}
	}
	if s.required != nil && !s.required.match(n) {
		v.refuse(s.required.mismatch(n), leave)
	}
}

func (s *Subject) filterTaints(n *corev1.Node, v *Verdict) {
	for i := range n.Spec.Taints {
		taint := &n.Spec.Taints[i]
		if !excludes(taint.Effect) || tolerates(s.tolerations, taint) {
			continue
		}
		then := leave
		if taint.Effect == corev1.TaintEffectNoSchedule {
			then = stay
		}
		v.refuse(UntoleratedTaint{Key: taint.Key, Value: taint.Value, Effect: taint.Effect}, then)
	}
}

// consequence is what a reason means for a pod that is already there.
type consequence bool

const (
	stay  consequence = true
	leave consequence = false
)

// refuse adds a reason that keeps the pod from coming.
func (v *Verdict) refuse(r Reason, then consequence) {
	v.Run = false
	v.Continue = v.Continue && then == stay
	v.Reasons = append(v.Reasons, r)
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
