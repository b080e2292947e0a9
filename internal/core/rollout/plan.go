package rollout

// Plan decides the next moves of one DaemonSet. Equal inputs give equal bytes.
func Plan(in Input) Decision {
	c := classify(&in)
	funds := spend(&in, c.sites)
	queue := order(c.sites)
	return act(&in, c, funds, queue)
}

// classified is every node, judged by itself. The sites point into the memories
// and the reasons, which become part of the Decision.
type classified struct {
	sites    []site
	memories []nodeMemory
	reasons  []Reason
}

// classify says of every node what it has, what it is due whatever the budget
// says, and what it would want of the budget.
func classify(in *Input) classified {
	n, pods := len(in.Nodes), 0
	for i := range in.Nodes {
		pods += len(in.Nodes[i].Pods)
	}
	c := classified{make([]site, n), make([]nodeMemory, n), make([]Reason, n)}
	arena := make([]*Pod, 0, pods)
	names := namer{set: in.Set, taken: in.TakenNames}
	past := reader{memory: in.Memory, isCurrent: in.Memory.hash == in.Set.Hash}
	for i := range in.Nodes {
		n, s := &in.Nodes[i], &c.sites[i]
		s.node, s.memory, s.reason = n, &c.memories[i], &c.reasons[i]
		*s.memory, s.trouble = past.read(n.Name)
		s.memory.observe(in, names, n)
		s.trouble.observe(in, n)
		s.reason.Node = n.Name
		arena = s.classify(in, arena)
	}
	return c
}

// funds is what the nodes leave of the limits.
type funds struct {
	// budget is maxSurge when surging and maxUnavailable otherwise, with what
	// the nodes already spend of it.
	budget Budget
	// ahead is how many nodes, from the first that waits, may be replaced or be
	// asked to fetch images for that: what the budget has left and once the
	// budget, without those that fetch already.
	ahead int
	// departures is how many available pods may leave nodes that are closed.
	departures int
}

// spend counts what the nodes cost already.
func spend(in *Input, sites []site) funds {
	desired, closedByIllness, available := 0, 0, 0
	pulling, pulled, notPulled := 0, 0, 0
	var f funds
	for i := range sites {
		s := &sites[i]
		switch {
		case s.verdict == Run:
			desired++
		case s.verdict == Keep && s.bad() && s.serving != nil:
			closedByIllness++
		}
		if s.serving != nil && s.isAvailable(in, s.serving) {
			available++
		}
		if s.spends {
			f.budget.add(s.node.Name)
		}
		switch {
		case s.reason.Kind == HoldPulling:
			pulling++
		case s.reason.Kind == HoldNotPulled:
			notPulled++
		case s.hasImages(in):
			pulled++
		}
	}
	// A percentage is taken of the nodes that would be desired if all were in
	// good health: a failing zone must not shrink the budget of the others.
	f.budget.Limit = in.Strategy.limit(desired + closedByIllness)
	f.departures = available - desired
	// An image that nobody has is not sought on all nodes: as many may fail as
	// have succeeded, and a few.
	if few := max(0, f.budget.Limit-f.budget.Spent) + f.budget.Limit; notPulled < few+pulled {
		f.ahead = few - pulling
	}
	return f
}

// limit is the budget for a number of nodes.
func (s Strategy) limit(nodes int) int {
	switch {
	case s.OnDelete:
		return 0
	case s.surges():
		return s.MaxSurge.Of(nodes)
	}
	// If neither amount allows a move, one is allowed, or nothing ever moved.
	return max(1, s.MaxUnavailable.Of(nodes))
}

// namesShown is how many names are given as examples.
const namesShown = 5

// add counts one more node that spends the budget.
func (b *Budget) add(node string) {
	b.Spent++
	if len(b.By) < namesShown {
		b.By = append(b.By, node)
	}
}
