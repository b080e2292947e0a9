package place

import (
	"cmp"
	"slices"
)

// againstAffinity appends the affinity terms of the pod that do not hold on the
// node. Each term may be satisfied by different pods.
func (q *question) againstAffinity(state *nodeState, out []Reason) []Reason {
	if q.s.pods == nil {
		return out
	}
	for i := range q.s.pods.affinity {
		term := &q.s.pods.affinity[i]
		switch {
		case term.invalid != "":
			out = append(out, InvalidPodTerm{Index: i, Problem: term.invalid})
		case !q.affine(term, state):
			out = append(out, PodAffinityMismatch{PodTerm: describe(term, i), Topology: labelOf(state.node, term.topologyKey)})
		}
	}
	return out
}

// affine reports whether a pod that the term selects is in the node's domain.
// The first of a group that is affine to itself goes anywhere: if there is no
// such pod at all, it is enough that the pod selects itself.
func (q *question) affine(term *podTerm, state *nodeState) bool {
	if _, ok := state.node.Labels[term.topologyKey]; !ok {
		return false
	}
	t := q.c.ask(term)
	if t.in(state.node).witness(q.siblingOn(state)) != nil {
		return true
	}
	return q.c.selects(term, q.s) && t.total == q.siblings(t, state)
}

// siblings counts the pods of a tally that are no company to the pod, because
// they are of the same DaemonSet: of a hostname term all of them, of a wider
// one those on the same node.
func (q *question) siblings(t *tally, state *nodeState) int {
	if q.s.owner == "" || t.owners[q.s.owner] == 0 {
		return 0
	}
	if !t.term.wide() {
		return t.owners[q.s.owner]
	}
	n := 0
	here := t.in(state.node)
	sibling := q.siblingOn(state)
	for key, other := range state.pods {
		if _, counted := here.pods[key]; counted && sibling(other) {
			n++
		}
	}
	return n
}

// siblingOn tells which pods do not count when the pod is judged on a node: its
// own earlier state, and the pods of the same DaemonSet that are on the node,
// which it replaces or has replaced.
func (q *question) siblingOn(state *nodeState) func(*Subject) bool {
	return func(other *Subject) bool {
		if other.Key == q.s.Key {
			return true
		}
		if !q.s.sibling(other) {
			return false
		}
		_, here := state.pods[other.Key]
		return here
	}
}

// sibling reports whether the other pod is of the same DaemonSet.
func (s *Subject) sibling(other *Subject) bool {
	return s.owner != "" && other.owner == s.owner
}

// againstAntiAffinity appends the anti-affinity terms of the pod that a pod in
// the node's domain violates.
func (q *question) againstAntiAffinity(state *nodeState, out []Reason) []Reason {
	if q.s.pods == nil {
		return out
	}
	excused := q.siblingOn(state)
	if q.asDaemon {
		excused = q.s.sibling
	}
	for i := range q.s.pods.anti {
		term := &q.s.pods.anti[i]
		if term.invalid != "" {
			out = append(out, InvalidPodTerm{Anti: true, Index: i, Problem: term.invalid})
			continue
		}
		if other := q.c.ask(term).in(state.node).witness(excused); other != nil {
			out = append(out, PodAntiAffinityConflict{
				PodTerm: describe(term, i), Topology: labelOf(state.node, term.topologyKey), Pod: other.Key,
			})
		}
	}
	return out
}

// againstHolders appends a reason for each anti-affinity term of placed pods
// that the pod would violate on the node.
func (q *question) againstHolders(state *nodeState, out []Reason) []Reason {
	var found []Reason
	for _, t := range q.c.index.heldAnti {
		d := t.in(state.node)
		if len(d.pods) == 0 || !q.c.selects(t.term, q.s) {
			continue
		}
		if holder := d.witness(q.siblingOn(state)); holder != nil {
			found = append(found, ExistingAntiAffinityConflict{
				TopologyKey: t.term.topologyKey, Topology: labelOf(state.node, t.term.topologyKey), Pod: holder.Key,
			})
		}
	}
	// Maps have no order, but answers do.
	slices.SortFunc(found, func(a, b Reason) int {
		x, y := a.(ExistingAntiAffinityConflict), b.(ExistingAntiAffinityConflict)
		return cmp.Or(cmp.Compare(x.TopologyKey, y.TopologyKey), compareKeys(x.Pod, y.Pod))
	})
	return append(out, slices.Compact(found)...)
}

func describe(t *podTerm, index int) PodTerm {
	d := PodTerm{
		Index: index, Selector: selectorText(t.selector), TopologyKey: t.topologyKey, Namespaces: t.namespaces,
	}
	if t.inNamespaces != nil {
		d.NamespaceSelector = selectorText(t.inNamespaces)
	}
	return d
}
