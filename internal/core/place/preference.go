package place

import (
	corev1 "k8s.io/api/core/v1"
)

// preferredTerm is a node selector term that adds its weight where it holds.
type preferredTerm struct {
	weight int64
	term   nodeTerm
}

func compilePreferred(terms []corev1.PreferredSchedulingTerm) []preferredTerm {
	var out []preferredTerm
	for i := range terms {
		t := &terms[i]
		if t.Weight == 0 || isEmptyTerm(&t.Preference) {
			continue
		}
		out = append(out, preferredTerm{weight: int64(t.Weight), term: compileTerm(i, &t.Preference)})
	}
	return out
}

// Preference is how much the pod prefers the node as such: the sum of the weights
// (1 to 100 each) of its preferred node affinity terms that hold. It never
// makes a node eligible or not; it orders work, highest first.
func Preference(s *Subject, n *corev1.Node) int64 {
	var sum int64
	for i := range s.preferred {
		if p := &s.preferred[i]; p.term.match(n) {
			sum += p.weight
		}
	}
	return sum
}

// Preference is how much the pod prefers the node in view of the pods around:
// to the preferred node affinity it adds the weight of each preferred pod
// affinity term that some pod in the node's domain satisfies, and subtracts
// that of each such anti-affinity term. The node must be known.
func (c *Cluster) Preference(s *Subject, node string) int64 {
	state := c.nodes[node]
	sum := Preference(s, state.node)
	if s.pods == nil {
		return sum
	}
	q := &question{c: c, s: s}
	for i := range s.pods.preferred {
		t := &s.pods.preferred[i]
		if c.ask(&t.podTerm).in(state.node).witness(q.siblingOn(state)) != nil {
			sum += t.weight
		}
	}
	return sum
}
