package place

import (
	"slices"

	policyv1 "k8s.io/api/policy/v1"
)

// Displace finds the pods of equal priority that keep a pod off the one node
// that it can be on, though each of them could run elsewhere: those are the
// victims, none that need not move. The result has no node if the pod has a
// choice, or if they alone do not make the difference. d, of the same moment,
// says why the pod fits nowhere now.
//
// Unlike in Preempt, budgets are strictly kept: a pod whose loss would violate
// one is not among them. Daemon pods are not either, for they have no other
// node. It tries out changes of the cluster, and undoes them.
func (c *Cluster) Displace(s *Subject, d Decision, budgets []*policyv1.PodDisruptionBudget) Preemption {
	none := Preemption{Nodes: d.Nodes}
	if s.Pinned == "" || len(d.Refusals) != 1 || !preemptable(d.Refusals[0].Reasons) {
		return none
	}
	state := c.nodes[s.Pinned]
	movable, leaving := s.peers(state)
	q := &question{c: c, s: s}
	for {
		_, free := protect(movable, budgets)
		found, _ := q.sacrifice(state, append(free, leaving...), nil)
		if found == nil {
			return none
		}
		stuck := c.stuck(found.victims, state)
		if stuck == nil {
			return Preemption{Node: s.Pinned, Victims: keysOf(found.victims), Nodes: d.Nodes}
		}
		movable = slices.DeleteFunc(movable, func(p *Subject) bool { return p == stuck })
	}
}

// peers lists the pods on a node that are of the same priority and no daemon's,
// the most important first, and those that are leaving anyway.
func (s *Subject) peers(state *nodeState) (movable, leaving []*Subject) {
	for _, placed := range state.pods {
		switch {
		case placed.Priority > s.Priority:
		case placed.terminating:
			leaving = append(leaving, placed)
		case placed.Priority == s.Priority && placed.owner == "":
			movable = append(movable, placed)
		}
	}
	slices.SortFunc(movable, compareImportance)
	return movable, leaving
}

// stuck returns the first of the pods that finds no other node once those
// before it have found theirs, or nil.
func (c *Cluster) stuck(pods []*Subject, from *nodeState) *Subject {
	var moved []*Subject
	defer func() {
		for _, p := range moved {
			c.Place(p, from.node.Name)
		}
	}()
	for _, p := range pods {
		free := p.unbound()
		to := slices.IndexFunc(c.Nodes(), func(name string) bool {
			return name != from.node.Name && (free.Pinned == "" || free.Pinned == name) && len(c.Fits(free, name)) == 0
		})
		if to < 0 {
			return p
		}
		c.Place(free, c.Nodes()[to])
		moved = append(moved, p)
	}
	return nil
}

// unbound is the pod as it was before it was bound.
func (s *Subject) unbound() *Subject {
	free := *s
	free.nodeName, free.Pinned = "", s.affinityPin
	return &free
}
