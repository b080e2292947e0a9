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
func act(in *Input, sites []site, f funds, queue []int) Decision {
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
	d.Reasons = reasons(in, sites, f)
	d.Status = count(in, sites, len(d.Actions) > 0)
	d.Memory = remember(sites)
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
	isOpen := f.budget.Spent < f.budget.Limit
	switch {
	case s.want == wantReplace && isOpen:
		s.reason.Kind = Replace
		f.budget.add(s.node.Name)
	case s.want == wantSurge && isOpen:
		s.reason.Kind = Surge
		f.budget.add(s.node.Name)
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
	if s.want == wantSurge {
		return s.creation(names)
	}
	return deletion(s.active[0], s.reason.Kind)
}

// reasons gives every node its reason, in order of name.
func reasons(in *Input, sites []site, f funds) []Reason {
	list := make([]Reason, 0, len(sites)+len(in.Strays))
	strays := in.Strays
	for i := range sites {
		for len(strays) > 0 && strays[0].Node < sites[i].node.Name {
			list, strays = appendStray(list, strays)
		}
		r := sites[i].reason
		if r.Kind == HoldBudget || r.Kind == Replace || r.Kind == Surge {
			r.Budget = f.budget
		}
		list = append(list, r)
	}
	for len(strays) > 0 {
		list, strays = appendStray(list, strays)
	}
	return list
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

func remember(sites []site) Memory {
	nodes := make([]nodeMemory, 0, len(sites))
	for i := range sites {
		if !sites[i].memory.empty() {
			nodes = append(nodes, sites[i].memory)
		}
	}
	return Memory{nodes: nodes}
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
