package place

import (
	"math"
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
	elsewhere := c.roomFor(movable, state)
	for {
		_, free := protect(movable, budgets)
		found, _ := q.sacrifice(state, append(free, leaving...), nil)
		if found == nil {
			return none
		}
		stuck, known := elsewhere.stuck(found.victims)
		if !known {
			return none
		}
		if len(stuck) == 0 {
			return Preemption{Node: s.Pinned, Victims: keysOf(found.victims), Nodes: d.Nodes}
		}
		movable = slices.DeleteFunc(movable, func(p *Subject) bool { return slices.Contains(stuck, p) })
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

// maxMoves is how many nodes are tried out for the pods of one node. Where that is
// not enough nobody moves: the search must not keep others from being scheduled.
const maxMoves = 20_000

// elsewhere is where the pods of a node could go.
type elsewhere struct {
	c    *Cluster
	from *nodeState
	// nodes have room for the least that the pods ask for.
	nodes []*nodeState
	// cursor is where the last pod found its node: similar pods find theirs near.
	cursor int
	// left is how many more nodes are tried out.
	left int
}

// roomFor finds the other nodes that have any room for the pods of one.
func (c *Cluster) roomFor(pods []*Subject, from *nodeState) *elsewhere {
	e := &elsewhere{c: c, from: from, left: maxMoves}
	if len(pods) == 0 {
		return e
	}
	least := Resources{MilliCPU: math.MaxInt64, Memory: math.MaxInt64, EphemeralStorage: math.MaxInt64}
	for _, p := range pods {
		least.MilliCPU = min(least.MilliCPU, p.requests.MilliCPU)
		least.Memory = min(least.Memory, p.requests.Memory)
		least.EphemeralStorage = min(least.EphemeralStorage, p.requests.EphemeralStorage)
	}
	for _, name := range c.Nodes() {
		state := c.nodes[name]
		if state != from && int64(len(state.pods)) < state.maxPods && len(shortfall(least, state.used, state.allocatable)) == 0 {
			e.nodes = append(e.nodes, state)
		}
	}
	return e
}

// stuck returns those of the pods that find no other node once those before them
// have found theirs. It is unknown if too many nodes would have to be tried out.
func (e *elsewhere) stuck(pods []*Subject) (stuck []*Subject, known bool) {
	var moved []*Subject
	defer func() {
		for _, p := range moved {
			e.c.Place(p, e.from.node.Name)
		}
	}()
	for _, p := range pods {
		free := p.unbound()
		to := e.find(free)
		switch {
		case e.left == 0:
			return nil, false
		case to == nil:
			stuck = append(stuck, p)
		default:
			e.c.Place(free, to.node.Name)
			moved = append(moved, p)
		}
	}
	return stuck, true
}

// find returns a node on which the pod fits, or nil.
func (e *elsewhere) find(s *Subject) *nodeState {
	q := &question{c: e.c, s: s}
	for i := range e.nodes {
		at := (e.cursor + i) % len(e.nodes)
		state := e.nodes[at]
		if s.Pinned != "" && s.Pinned != state.node.Name {
			continue
		}
		if e.left--; e.left == 0 {
			return nil
		}
		if len(q.fits(state)) == 0 {
			e.cursor = at
			return state
		}
	}
	return nil
}

// unbound is the pod as it was before it was bound.
func (s *Subject) unbound() *Subject {
	free := *s
	free.nodeName, free.Pinned = "", s.affinityPin
	return &free
}
