package place

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Decision is where a pod goes, or why it goes nowhere.
type Decision struct {
	// Node is where to bind the pod; "" if it fits nowhere.
	Node string
	// Refusals says of each node that was looked at why it does not take the
	// pod, in the order of node names. Of the nodes that a pinned pod cannot
	// be on it says nothing. Set only if Node is "".
	Refusals []Refusal
	// Nodes is how many nodes there are.
	Nodes int
}

// Refusal is one node that does not take a pod.
type Refusal struct {
	Node    string
	Reasons []Reason // never empty
}

// Schedule decides on which node to bind the pod: of those on which it fits the
// one with the best score, or of several the first by name. A pinned pod costs
// a look at its one node, whatever the size of the cluster. For others a large
// cluster is searched from where the last search ended, until there are enough
// nodes to choose from.
func (c *Cluster) Schedule(s *Subject) Decision {
	q := &question{c: c, s: s}
	names := c.candidates(s)
	d := Decision{Nodes: len(c.Nodes())}
	var fit []*nodeState
	enough, start := enoughChoice(len(names)), 0
	if s.Pinned == "" && len(names) > 0 {
		start = c.cursor % len(names)
	}
	for i := range names {
		state := c.nodes[names[(start+i)%len(names)]]
		if reasons := q.fitsBesideNominated(state); len(reasons) > 0 {
			d.Refusals = append(d.Refusals, Refusal{Node: state.node.Name, Reasons: reasons})
			continue
		}
		if fit = append(fit, state); len(fit) == enough {
			c.cursor = start + i + 1
			break
		}
	}
	if len(fit) > 0 {
		return Decision{Node: q.best(fit), Nodes: d.Nodes}
	}
	slices.SortFunc(d.Refusals, func(a, b Refusal) int { return strings.Compare(a.Node, b.Node) })
	return d
}

// enoughChoice is how many fitting nodes are enough to choose from: all of up
// to a hundred, of more a share that falls from a half to a twentieth.
func enoughChoice(nodes int) int {
	const fewest = 100
	if nodes <= fewest {
		return nodes
	}
	percent := max(5, 50-nodes/125)
	return max(fewest, nodes*percent/100)
}

// best returns the name of the node with the best score.
func (q *question) best(fit []*nodeState) string {
	if len(fit) == 1 {
		return fit[0].node.Name
	}
	scores := q.scores(fit)
	best := 0
	for i := range fit {
		if scores[i] > scores[best] || scores[i] == scores[best] && fit[i].node.Name < fit[best].node.Name {
			best = i
		}
	}
	return fit[best].node.Name
}

// candidates lists the known nodes that the pod could be on.
func (c *Cluster) candidates(s *Subject) []string {
	if s.Pinned == "" {
		return c.Nodes()
	}
	if c.Node(s.Pinned) == nil {
		return nil
	}
	return []string{s.Pinned}
}

// Nominate keeps room on a node for a pod that waits for others to leave it,
// against pods of lower priority. It lasts until Denominate.
func (c *Cluster) Nominate(s *Subject, node string) {
	c.Denominate(s.Key)
	if c.nominated[node] == nil {
		c.nominated[node] = map[types.NamespacedName]*Subject{}
	}
	c.nominated[node][s.Key] = s
}

// Denominate ends what Nominate began, and returns the node, or "".
func (c *Cluster) Denominate(key types.NamespacedName) string {
	for node, pods := range c.nominated {
		if _, ok := pods[key]; ok {
			if delete(pods, key); len(pods) == 0 {
				delete(c.nominated, node)
			}
			return node
		}
	}
	return ""
}

// fitsBesideNominated asks whether the pod fits with the nominated pods of the
// node that it must not overtake. They may not come after all, so it must fit
// without them as well.
func (q *question) fitsBesideNominated(state *nodeState) []Reason {
	reasons := q.fits(state)
	if len(reasons) > 0 || len(q.c.nominated[state.node.Name]) == 0 {
		return reasons
	}
	var guests []*Subject
	for key, s := range q.c.nominated[state.node.Name] {
		if placed, _ := q.c.Placed(key); placed == nil && key != q.s.Key && s.Priority >= q.s.Priority {
			guests = append(guests, s)
		}
	}
	for _, s := range guests {
		q.put(s, state)
	}
	reasons = q.fits(state)
	for _, s := range guests {
		q.take(s, state)
	}
	return reasons
}

// put tries what would be if a pod came to a node; take undoes it, and the
// other way round.
func (q *question) put(s *Subject, state *nodeState) {
	q.c.Place(s, state.node.Name)
	q.moved(s, state, 1)
}

func (q *question) take(s *Subject, state *nodeState) {
	q.c.Remove(s.Key)
	q.moved(s, state, -1)
}

// OpenedBy returns the filters that may let other pods through when a placed
// pod becomes s, having been old before; old is nil for a pod that is new.
func (s *Subject) OpenedBy(old *Subject) FilterSet {
	if old == nil {
		return CompanyFilters
	}
	var set FilterSet
	if !maps.Equal(s.labels, old.labels) || s.terminating != old.terminating {
		set |= CompanyFilters
	}
	if s.requests.MilliCPU != old.requests.MilliCPU || s.requests.Memory != old.requests.Memory ||
		s.requests.EphemeralStorage != old.requests.EphemeralStorage || !maps.Equal(s.requests.Other, old.requests.Other) {
		set |= RoomFilters
	}
	return set
}

// Equivalent reports whether a placed pod counts the same as it did as old. It
// holds for most updates of a pod, which are of its status.
func (s *Subject) Equivalent(old *Subject) bool {
	return s.UID == old.UID && s.Priority == old.Priority && s.owner == old.owner &&
		s.started.Equal(&old.started) && s.OpenedBy(old) == 0
}
