package rollout

import (
	"cmp"
	"slices"
	"time"
)

// order sorts the nodes that are due a pod or want something of the budget: the
// highest score first, then by name. It returns their positions.
func order(sites []site) []int {
	var queue []int
	for i := range sites {
		if sites[i].create || sites[i].want != wantNothing {
			queue = append(queue, i)
		}
	}
	slices.SortFunc(queue, func(a, b int) int {
		return cmp.Or(cmp.Compare(sites[b].node.Score, sites[a].node.Score), cmp.Compare(a, b))
	})
	return queue
}

// act turns what is due, and as much of what is wanted as the budget allows,
// into actions, and says why.
func act(in *Input, c classified, f funds, queue []int) Decision {
	sites := c.sites
	names := namer{set: in.Set, taken: in.TakenNames}
	var d Decision
	for _, i := range queue {
		if sites[i].create {
			d.Actions = append(d.Actions, sites[i].creation(names))
		}
	}
	for i := range sites {
		for _, r := range sites[i].remove {
			d.Actions = append(d.Actions, deletion(r.pod, r.why))
		}
	}
	for i := range in.Strays {
		if p := &in.Strays[i]; !p.Bound && !p.deleting() {
			d.Actions = append(d.Actions, deletion(p, RemoveUnbound))
		}
	}
	for _, i := range queue {
		if sites[i].grant(&f) {
			d.Actions = append(d.Actions, sites[i].granted(names))
		}
	}
	d.Status = count(in, sites, len(d.Actions) > 0)
	d.Reasons = reasons(in, c.reasons, f)
	d.Memory = remember(in, c)
	d.WakeAt = wakeAt(in, sites)
	return d
}

// creation is the action that brings a pod to the node.
func (s *site) creation(names namer) Action {
	name := names.name(s.node.Name, s.memory.last.uid)
	return Action{Verb: Create, Node: s.node.Name, Pod: name, Why: s.reason.Kind}
}

func deletion(p *Pod, why Kind) Action {
	return Action{Verb: Delete, Node: p.Node, Pod: p.Name, UID: p.UID, Why: why}
}

// grant gives the node what it wants if the budget still has it.
func (s *site) grant(f *funds) bool {
	isOpen, isNear := f.budget.Spent < f.budget.Limit, f.ahead > 0
	if s.want == wantReplace || s.want == wantFetch {
		f.ahead--
	}
	switch {
	case s.want == wantReplace && isOpen:
		s.reason.Kind = Replace
		f.budget.add(s.node.Name)
	case s.want == wantSurge && isOpen:
		s.reason.Kind = Surge
		f.budget.add(s.node.Name)
	case s.want == wantFetch && isNear:
		s.reason.Kind = PrePull
	case s.want == wantDeparture && f.departures > 0:
		s.reason.Kind = RemoveOutdated
		f.departures--
	default:
		return false
	}
	return true
}

// granted is the action for a want that was granted.
func (s *site) granted(names namer) Action {
	switch p := s.active[0]; s.want {
	case wantSurge:
		return s.creation(names)
	case wantFetch:
		return Action{Verb: Fetch, Node: p.Node, Pod: p.Name, UID: p.UID, Why: s.reason.Kind}
	default:
		return deletion(p, s.reason.Kind)
	}
}

// reasons completes the reasons of the nodes with the budget and adds those of
// the strays, in order of name.
func reasons(in *Input, list []Reason, f funds) []Reason {
	for i := range list {
		if k := list[i].Kind; k == HoldBudget || k == Replace || k == Surge {
			list[i].Budget = f.budget
		}
	}
	if len(in.Strays) == 0 {
		return list
	}
	merged := make([]Reason, 0, len(list)+len(in.Strays))
	strays := in.Strays
	for _, r := range list {
		for len(strays) > 0 && strays[0].Node < r.Node {
			merged, strays = appendStray(merged, strays)
		}
		merged = append(merged, r)
	}
	for len(strays) > 0 {
		merged, strays = appendStray(merged, strays)
	}
	return merged
}

// appendStray adds the reason of the first stray's node and skips the other
// strays of that node.
func appendStray(list []Reason, strays []Pod) ([]Reason, []Pod) {
	first := &strays[0]
	r := Reason{Node: first.Node, Kind: NodeGone, Pod: first.Name}
	n := 0
	for ; n < len(strays) && strays[n].Node == first.Node; n++ {
		if p := &strays[n]; !p.Bound && !p.deleting() {
			r.Kind, r.Pod = RemoveUnbound, p.Name
		}
	}
	return append(list, r), strays[n:]
}

// remember keeps what the next plan must know.
func remember(in *Input, c classified) Memory {
	m := Memory{hash: in.Set.Hash, nodes: c.memories[:0]}
	for i := range c.sites {
		if known := c.memories[i]; known != (nodeMemory{node: known.node}) {
			m.nodes = append(m.nodes, known)
		}
		if t := c.sites[i].trouble; t != (trouble{node: t.node}) {
			m.troubles = append(m.troubles, t)
		}
	}
	return m
}

// alarm is the earliest of the times it was given; zero if there was none.
type alarm struct{ time time.Time }

func (a *alarm) at(t time.Time) {
	if !t.IsZero() && (a.time.IsZero() || t.Before(a.time)) {
		a.time = t
	}
}

// wakeAt is when time alone may next change the decision.
func wakeAt(in *Input, sites []site) time.Time {
	var a alarm
	for i := range sites {
		if t := sites[i].wake.time; t.After(in.Now) {
			a.at(t)
		}
	}
	return a.time
}
