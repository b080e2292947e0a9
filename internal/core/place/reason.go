package place

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Filter names one condition that placement checks. The order of the constants
// is the order in which reasons are given.
type Filter uint8

const (
	NodeUnschedulableFilter Filter = iota
	NodeNameFilter
	TaintFilter
	NodeAffinityFilter
	PortFilter
	ResourceFilter
	SpreadFilter
	PodAffinityFilter
)

// FilterSet is a set of filters.
type FilterSet uint16

// RoomFilters are those that pods which leave a node can satisfy for others on
// this node; CompanyFilters hang on pods wherever they are.
const (
	RoomFilters    FilterSet = 1<<PortFilter | 1<<ResourceFilter
	CompanyFilters FilterSet = 1<<PodAffinityFilter | 1<<SpreadFilter
)

// AllFilters has every filter.
const AllFilters FilterSet = 1<<(PodAffinityFilter+1) - 1

// With returns the set with the filter added.
func (set FilterSet) With(f Filter) FilterSet { return set | 1<<f }

// Intersects reports whether the sets have a filter in common.
func (set FilterSet) Intersects(other FilterSet) bool { return set&other != 0 }

// Reason is one fact that stands between a pod and a node. The set of
// implementations is closed: they are the types of this file, always by value.
type Reason interface {
	// Filter is the condition that does not hold.
	Filter() Filter
	// Preemptable reports whether the fact could go away if pods left the
	// node, which is what preemption can bring about.
	Preemptable() bool
	// isReason keeps the set closed.
	isReason()
}

// NodeUnschedulable: the node is cordoned, and the pod does not tolerate that.
type NodeUnschedulable struct{}

// NodeNameMismatch: the pod names another node in spec.nodeName.
type NodeNameMismatch struct {
	Wanted string
	Got    string
}

// UntoleratedTaint: the node has a taint that the pod does not tolerate. Its
// effect is NoSchedule or NoExecute.
type UntoleratedTaint struct {
	Key    string
	Value  string
	Effect corev1.TaintEffect
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

// PortConflict: a pod on the node has a host port that this one wants.
type PortConflict struct {
	Port HostPort
	// Pod is the one in the way.
	Pod types.NamespacedName
}

// InsufficientResource: the node has less of a resource left than the pod
// requests. Amounts are in milli-units for cpu, otherwise in whole units.
type InsufficientResource struct {
	Name        corev1.ResourceName
	Requested   int64
	Used        int64
	Allocatable int64
}

// TooManyPods: the node has as many pods as it can take.
type TooManyPods struct {
	Used    int64
	Allowed int64
}

// SpreadLabelMissing: a topology spread constraint goes by a label that the
// node does not have.
type SpreadLabelMissing struct {
	TopologyKey string
}

// SpreadViolation: with the pod, the node's domain would have too many of the
// pods that a topology spread constraint selects.
type SpreadViolation struct {
	TopologyKey string
	Topology    Label
	// Selector is the label selector as text, label keys merged in.
	Selector string
	MaxSkew  int
	// There is how many pods the domain would have, Least how many the domain
	// with the fewest has.
	There, Least int
}

// PodTerm describes a term of pod affinity or anti-affinity.
type PodTerm struct {
	// Index is the position among the required terms of its kind.
	Index int
	// Selector is the label selector as text, label keys merged in; "*" is
	// every pod, "-" is none.
	Selector string
	// Namespaces are sorted; NamespaceSelector is "" if there is none.
	Namespaces        []string
	NamespaceSelector string
	TopologyKey       string
}

// PodAffinityMismatch: in the node's domain is no pod that a required affinity
// term selects. Without the topology key a node is in no domain.
type PodAffinityMismatch struct {
	PodTerm
	Topology Label
}

// PodAntiAffinityConflict: in the node's domain is a pod that a required
// anti-affinity term selects.
type PodAntiAffinityConflict struct {
	PodTerm
	Topology Label
	// Pod is the first of them by name.
	Pod types.NamespacedName
}

// ExistingAntiAffinityConflict: in the node's domain is a pod that does not
// want the pod there.
type ExistingAntiAffinityConflict struct {
	TopologyKey string
	Topology    Label
	// Pod is the first of them by name.
	Pod types.NamespacedName
}

// InvalidPodTerm: a required term cannot be read, so it cannot be kept.
type InvalidPodTerm struct {
	Anti    bool
	Index   int
	Problem string
}

// OnePerDomain: the daemon keeps away from itself over a domain, and another
// node of the domain is its place.
type OnePerDomain struct {
	TopologyKey string
	Topology    Label
	// Node is the one that was chosen.
	Node string
}

// OneDomain: the daemon keeps to itself in one domain, and another domain is
// its place.
type OneDomain struct {
	TopologyKey string
	Topology    Label
	// Chosen is the value of the topology key that was chosen.
	Chosen string
}

func (NodeUnschedulable) Filter() Filter            { return NodeUnschedulableFilter }
func (NodeNameMismatch) Filter() Filter             { return NodeNameFilter }
func (UntoleratedTaint) Filter() Filter             { return TaintFilter }
func (NodeSelectorMismatch) Filter() Filter         { return NodeAffinityFilter }
func (NodeAffinityMismatch) Filter() Filter         { return NodeAffinityFilter }
func (PortConflict) Filter() Filter                 { return PortFilter }
func (InsufficientResource) Filter() Filter         { return ResourceFilter }
func (TooManyPods) Filter() Filter                  { return ResourceFilter }
func (SpreadLabelMissing) Filter() Filter           { return SpreadFilter }
func (SpreadViolation) Filter() Filter              { return SpreadFilter }
func (PodAffinityMismatch) Filter() Filter          { return PodAffinityFilter }
func (PodAntiAffinityConflict) Filter() Filter      { return PodAffinityFilter }
func (ExistingAntiAffinityConflict) Filter() Filter { return PodAffinityFilter }
func (InvalidPodTerm) Filter() Filter               { return PodAffinityFilter }
func (OnePerDomain) Filter() Filter                 { return PodAffinityFilter }
func (OneDomain) Filter() Filter                    { return PodAffinityFilter }

func (NodeUnschedulable) Preemptable() bool            { return false }
func (NodeNameMismatch) Preemptable() bool             { return false }
func (UntoleratedTaint) Preemptable() bool             { return false }
func (NodeSelectorMismatch) Preemptable() bool         { return false }
func (NodeAffinityMismatch) Preemptable() bool         { return false }
func (PortConflict) Preemptable() bool                 { return true }
func (TooManyPods) Preemptable() bool                  { return true }
func (SpreadLabelMissing) Preemptable() bool           { return false }
func (SpreadViolation) Preemptable() bool              { return true }
func (PodAffinityMismatch) Preemptable() bool          { return false }
func (PodAntiAffinityConflict) Preemptable() bool      { return true }
func (ExistingAntiAffinityConflict) Preemptable() bool { return true }
func (InvalidPodTerm) Preemptable() bool               { return false }
func (OnePerDomain) Preemptable() bool                 { return false }
func (OneDomain) Preemptable() bool                    { return false }

// Preemptable is false for a request that exceeds the empty node.
func (r InsufficientResource) Preemptable() bool { return r.Requested <= r.Allocatable }

func (NodeUnschedulable) isReason()            {}
func (NodeNameMismatch) isReason()             {}
func (UntoleratedTaint) isReason()             {}
func (NodeSelectorMismatch) isReason()         {}
func (NodeAffinityMismatch) isReason()         {}
func (PortConflict) isReason()                 {}
func (InsufficientResource) isReason()         {}
func (TooManyPods) isReason()                  {}
func (SpreadLabelMissing) isReason()           {}
func (SpreadViolation) isReason()              {}
func (PodAffinityMismatch) isReason()          {}
func (PodAntiAffinityConflict) isReason()      {}
func (ExistingAntiAffinityConflict) isReason() {}
func (InvalidPodTerm) isReason()               {}
func (OnePerDomain) isReason()                 {}
func (OneDomain) isReason()                    {}
