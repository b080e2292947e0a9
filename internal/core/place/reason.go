package place

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// Reason is one fact that stands between a pod and a node. The set of
// implementations is closed: they are the types of this file, always by value.
type Reason interface {
	// isReason keeps the set closed.
	isReason()
}

// NodeNameMismatch: the pod names another node in spec.nodeName.
type NodeNameMismatch struct {
	Wanted string
	Got    string
}

// NodeSelectorMismatch: one entry of spec.nodeSelector does not hold.
type NodeSelectorMismatch struct {
	Key    string
	Wanted string
	Got    Label
}

// NodeAffinityMismatch: none of the terms of the required node affinity holds.
// Terms are alternatives; each lists all of its requirements that fail. An
// affinity without a usable term has no alternatives and matches no node.
type NodeAffinityMismatch struct {
	Terms []TermMismatch
}

// TermMismatch says why one node selector term does not hold.
type TermMismatch struct {
	// Index is the position in nodeSelectorTerms.
	Index int
	// Failed lists the requirements that do not hold, in the order of the
	// term; empty only if Invalid is set.
	Failed []RequirementMismatch
	// Invalid says why the term cannot be used at all, in which case it
	// matches nothing.
	Invalid string
}

// RequirementMismatch is one requirement of a node selector term and what the
// node has instead.
type RequirementMismatch struct {
	// Field is true for matchFields, false for matchExpressions.
	Field    bool
	Key      string
	Operator corev1.NodeSelectorOperator
	// Values as the pod wrote them; shared with the pod, not to be changed.
	Values []string
	Got    Label
}

// Label is what a node has under a key.
type Label struct {
	Value string
	// Present tells an empty value from a missing key.
	Present bool
}

// String is the quoted value, or "absent".
func (l Label) String() string {
	if !l.Present {
		return "absent"
	}
	return strconv.Quote(l.Value)
}

// UntoleratedTaint: the node has a taint that the pod does not tolerate. Its
// effect is NoSchedule or NoExecute.
type UntoleratedTaint struct {
	Key    string
	Value  string
	Effect corev1.TaintEffect
}

func (NodeNameMismatch) isReason()     {}
func (NodeSelectorMismatch) isReason() {}
func (NodeAffinityMismatch) isReason() {}
func (UntoleratedTaint) isReason()     {}
