package nodelife

import (
	"cmp"
	"slices"
	"time"
)

// The pace at which nodes of a zone are evicted: one node per interval. Where
// many fail together, the fault is more likely ours than theirs.
const (
	normalInterval  = 10 * time.Second
	partialInterval = 100 * time.Second
	// A zone is partially disrupted if more than fewNodes of it are not ready
	// and they are at least partialShare of it. A small zone in that state is
	// not evicted at all.
	fewNodes     = 2
	partialShare = 0.55
	smallZone    = 50
)

// zoneState is how a zone is.
type zoneState int

const (
	zoneNormal zoneState = iota
	// zonePartial: most nodes are not ready.
	zonePartial
	// zoneFull: none is ready.
	zoneFull
)

// member is what the zones need to know of a node.
type member struct {
	Name  string
	Zone  string
	Ready bool
	// Evicting: the node has its NoExecute taint, or needs none.
	Evicting bool
	// Excluded nodes do not count when the state of a zone is judged.
	Excluded bool
}

// waiter is a node that waits for its turn to be evicted.
type waiter struct {
	name  string
	since time.Time
}

// zone is a failure domain.
type zone struct {
	members        int // all of them
	ready, unready int // those that count
	state          zoneState
	next           time.Time // no turn before
	waiting        []waiter  // longest first, then by name
}

// zones keep count of which nodes are ready where, and deal out turns. Every
// method returns the names of the other nodes that are to be looked at again
// because of it. Zones are not safe for concurrent use.
type zones struct {
	members map[string]member
	zones   map[string]*zone
	granted map[string]bool // have had their turn, and not used it yet
}

func newZones() *zones {
	return &zones{members: map[string]member{}, zones: map[string]*zone{}, granted: map[string]bool{}}
}

// blackout tells whether there are nodes and none of them is ready.
func (z *zones) blackout() bool {
	full := 0
	for _, home := range z.zones {
		switch {
		case home.ready > 0:
			return false
		case home.unready > 0:
			full++
		}
	}
	return full > 0
}

// place notes how a node is now.
func (z *zones) place(m member, now time.Time) []string {
	old, known := z.members[m.Name]
	if known && old == m {
		return nil
	}
	before := z.blackout()
	var wake []string
	if known && old.Zone != m.Zone {
		wake = z.leave(old)
	}
	z.members[m.Name] = m
	home := z.zones[m.Zone]
	if home == nil {
		home = &zone{}
		z.zones[m.Zone] = home
	}
	if m.Ready || m.Evicting {
		delete(z.granted, m.Name)
		wake = append(wake, home.quit(m.Name)...)
	} else {
		home.wait(waiter{name: m.Name, since: now})
	}
	if known && old.Zone == m.Zone {
		home.count(old, -1)
	}
	home.count(m, +1)
	wake = append(wake, z.reassess(m.Zone)...)
	return z.others(m.Name, wake, before)
}

// forget takes a node out that does not exist any more.
func (z *zones) forget(name string) []string {
	m, known := z.members[name]
	if !known {
		return nil
	}
	before := z.blackout()
	return z.others(name, z.leave(m), before)
}

func (z *zones) leave(m member) []string {
	delete(z.members, m.Name)
	delete(z.granted, m.Name)
	home := z.zones[m.Zone]
	wake := home.quit(m.Name)
	home.count(m, -1)
	return append(wake, z.reassess(m.Zone)...)
}

// others completes a list of nodes to look at: all, if a blackout begins or
// ends.
func (z *zones) others(name string, wake []string, before bool) []string {
	if z.blackout() != before {
		wake = nil
		for other := range z.members {
			wake = append(wake, other)
		}
	}
	wake = slices.DeleteFunc(wake, func(other string) bool { return other == name })
	slices.Sort(wake)
	return slices.Compact(wake)
}

// reassess judges a zone anew after its count has changed, and names the nodes
// that wait there if their turns now come at another pace.
func (z *zones) reassess(name string) []string {
	home := z.zones[name]
	if home.members == 0 {
		delete(z.zones, name)
		return nil
	}
	old := home.state
	if home.state = home.assess(); home.state == old {
		return nil
	}
	var wake []string
	for _, w := range home.waiting {
		wake = append(wake, w.name)
	}
	return wake
}

// turn tells whether a node may be evicted now, and if not, when to ask again;
// zero if an event will tell.
func (z *zones) turn(name string, now time.Time) (bool, time.Time) {
	m, known := z.members[name]
	switch {
	case !known || m.Ready || m.Evicting || z.blackout():
		return false, time.Time{}
	case z.granted[name]:
		return true, time.Time{}
	}
	home := z.zones[m.Zone]
	interval := home.interval()
	if interval == 0 || home.waiting[0].name != name {
		return false, time.Time{}
	}
	if now.Before(home.next) {
		return false, home.next
	}
	home.next = now.Add(interval)
	z.granted[name] = true
	return true, time.Time{}
}

// count adds a node to the numbers of a zone, or takes it away.
func (home *zone) count(m member, by int) {
	home.members += by
	switch {
	case m.Excluded:
	case m.Ready:
		home.ready += by
	default:
		home.unready += by
	}
}

func (home *zone) assess() zoneState {
	total := home.ready + home.unready
	switch {
	case home.ready == 0 && home.unready > 0:
		return zoneFull
	case home.unready > fewNodes && float64(home.unready) >= partialShare*float64(total):
		return zonePartial
	}
	return zoneNormal
}

// interval between two turns, zero for none at all.
func (home *zone) interval() time.Duration {
	switch {
	case home.state != zonePartial:
		return normalInterval
	case home.ready+home.unready > smallZone:
		return partialInterval
	}
	return 0
}

// wait puts a node in the queue, unless it is there.
func (home *zone) wait(w waiter) {
	if slices.ContainsFunc(home.waiting, func(other waiter) bool { return other.name == w.name }) {
		return
	}
	at, _ := slices.BinarySearchFunc(home.waiting, w, func(a, b waiter) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.name, b.name))
	})
	home.waiting = slices.Insert(home.waiting, at, w)
}

// quit takes a node out of the queue and names the one that is first now, if
// that is another than before.
func (home *zone) quit(name string) []string {
	at := slices.IndexFunc(home.waiting, func(w waiter) bool { return w.name == name })
	if at < 0 {
		return nil
	}
	home.waiting = slices.Delete(home.waiting, at, at+1)
	if at > 0 || len(home.waiting) == 0 {
		return nil
	}
	return []string{home.waiting[0].name}
}
