package view

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/rollout"
)

// Roster is the nodes of a cluster in order of name. It does not change once
// made, so that many plans may share it.
type Roster struct {
	nodes    []*corev1.Node
	position map[string]int
}

// NewRoster sorts the nodes. It keeps the objects but not the slice.
func NewRoster(nodes []*corev1.Node) *Roster {
	r := &Roster{nodes: slices.Clone(nodes), position: make(map[string]int, len(nodes))}
	slices.SortFunc(r.nodes, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	for i, n := range r.nodes {
		r.position[n.Name] = i
	}
	return r
}

// Nodes are the nodes in order of name; the caller must not change them.
func (r *Roster) Nodes() []*corev1.Node { return r.nodes }

// Standing is how one node stands to a DaemonSet.
type Standing struct {
	Verdict rollout.Verdict
	Score   int64
}

// Stand evaluates one node by itself, without a look at other pods.
func Stand(subject *place.Subject, node *corev1.Node) Standing {
	return Standing{
		Verdict: RolloutVerdict(place.Eligible(subject, node)),
		Score:   place.Preference(subject, node),
	}
}

// RolloutVerdict is a verdict of place in the words of rollout.
func RolloutVerdict(v place.Verdict) rollout.Verdict {
	switch {
	case v.Run:
		return rollout.Run
	case v.Continue:
		return rollout.Keep
	case v.Grace:
		return rollout.Lapse
	}
	return rollout.Leave
}

// health is how a node is as far as plans care.
type health struct {
	// badSince is when the node stopped being ready or began to go away; zero
	// for one in good health. A node that says nothing of being ready is not
	// judged.
	badSince time.Time
	// away: it does not answer, or is going away.
	away bool
}

func healthOf(node *corev1.Node) health {
	var h health
	if node.DeletionTimestamp != nil {
		h = health{badSince: node.DeletionTimestamp.Time, away: true}
	}
	for i := range node.Status.Conditions {
		c := &node.Status.Conditions[i]
		if c.Type != corev1.NodeReady || c.Status == corev1.ConditionTrue {
			continue
		}
		at := c.LastTransitionTime.Time
		if at.IsZero() {
			at = node.CreationTimestamp.Time
		}
		if h.badSince.IsZero() || at.Before(h.badSince) {
			h.badSince = at
		}
		h.away = h.away || c.Status == corev1.ConditionUnknown
	}
	return h
}

// With returns a roster with some nodes put in, or taken out where nil.
func (r *Roster) With(changed map[string]*corev1.Node) *Roster {
	sameNames := true
	for name, n := range changed {
		_, known := r.position[name]
		sameNames = sameNames && known && n != nil
	}
	if sameNames {
		replaced := &Roster{nodes: slices.Clone(r.nodes), position: r.position}
		for name, n := range changed {
			replaced.nodes[r.position[name]] = n
		}
		return replaced
	}
	nodes := make([]*corev1.Node, 0, len(r.nodes)+len(changed))
	for _, n := range r.nodes {
		if _, replaced := changed[n.Name]; !replaced {
			nodes = append(nodes, n)
		}
	}
	for _, n := range changed {
		if n != nil {
			nodes = append(nodes, n)
		}
	}
	return NewRoster(nodes)
}

// HealthChanged reports whether two states of a node differ in its health as
// plans see it.
func HealthChanged(old, now *corev1.Node) bool {
	before, after := healthOf(old), healthOf(now)
	return before.away != after.away || !before.badSince.Equal(after.badSince)
}
