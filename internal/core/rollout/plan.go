package rollout

// Plan decides the next moves of one DaemonSet. Equal inputs give equal bytes.
func Plan(in Input) Decision {
	sites := classify(&in)
	funds := spend(&in, sites)
	queue := order(sites)
	return act(&in, sites, funds, queue)
}

// classify says of every node what it has, what it is due whatever the budget
// says, and what it would want of the budget.
func classify(in *Input) []site {
	sites := make([]site, len(in.Nodes))
	names := namer{set: in.Set, taken: in.TakenNames}
	cursor := 0
	for i := range in.Nodes {
		n := &in.Nodes[i]
		s := &sites[i]
		s.node = n
		s.memory = in.Memory.of(n.Name, &cursor).observe(in, names, n)
		s.classify(in)
	}
	return sites
}

// funds is what the nodes leave of the limits.
type funds struct {
	// budget is maxSurge when surging and maxUnavailable otherwise, with what
	// the nodes already spend of it.
	budget Budget
	// departures is how many available pods may leave nodes that are closed.
	departures int
}

// spend counts what the nodes cost already.
func spend(in *Input, sites []site) funds {
	desired, closedByIllness, available := 0, 0, 0
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
	}
	// A percentage is taken of the nodes that would be desired if all were in
	// good health: a failing zone must not shrink the budget of the others.
	f.budget.Limit = in.Strategy.limit(desired + closedByIllness)
	f.departures = available - desired
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
