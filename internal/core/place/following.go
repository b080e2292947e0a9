package place

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Affected is a part of the cluster in which the verdict on a daemon may have
// changed, because a pod came or went that one of its terms selects.
type Affected struct {
	// Daemon is the Key of the Subject that was given to Follow.
	Daemon types.NamespacedName
	// TopologyKey and Value name the domain; both are empty if every node is
	// affected.
	TopologyKey string
	Value       string
}

// Follow reports from now on, in the results of Place, Remove, SetNode,
// RemoveNode and SetNamespace, the changes that concern the required pod terms
// of a daemon. The daemon's own pods are its controller's to watch. Follow it
// anew, after Unfollow, when its template changes.
func (c *Cluster) Follow(s *Subject) {
	for _, f := range s.following() {
		t := c.ask(f.term)
		t.followers = append(t.followers, f)
		if c.nodesBy[f.term.topologyKey] == nil {
			c.indexNodes(f.term.topologyKey)
		}
	}
}

// Unfollow ends what Follow began; it takes the same Subject.
func (c *Cluster) Unfollow(s *Subject) {
	for _, f := range s.following() {
		if t := c.index.asked[f.term.id]; t != nil {
			t.followers = slices.DeleteFunc(t.followers, func(g follower) bool { return g.Subject == s })
		}
	}
}

// follower is a daemon whose eligibility hangs on a term.
type follower struct {
	*Subject
	term *podTerm
	anti bool
}

// following lists the terms that decide eligibility.
func (s *Subject) following() []follower {
	if s.pods == nil {
		return nil
	}
	var out []follower
	for i := range s.pods.affinity {
		out = append(out, follower{Subject: s, term: &s.pods.affinity[i]})
	}
	for i := range s.pods.anti {
		out = append(out, follower{Subject: s, term: &s.pods.anti[i], anti: true})
	}
	return out
}

// FollowsPods reports whether other pods decide where the daemon is eligible.
func (s *Subject) FollowsPods() bool {
	return s.pods != nil && len(s.pods.affinity)+len(s.pods.anti) > 0
}

// SeesPods reports whether the pods around have any part in where the daemon
// goes, or where it goes first.
func (s *Subject) SeesPods() bool { return s.FollowsPods() || s.PrefersPods() }

// PrefersPods reports whether other pods have a part in the daemon's Preference.
func (s *Subject) PrefersPods() bool { return s.pods != nil && len(s.pods.preferred) > 0 }

// NodesIn returns the names of the known nodes in a domain, in order.
func (c *Cluster) NodesIn(a Affected) []string {
	if a.TopologyKey == "" {
		return slices.Clone(c.Nodes())
	}
	names := make([]string, 0, len(c.nodesBy[a.TopologyKey][a.Value]))
	for name := range c.nodesBy[a.TopologyKey][a.Value] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *Cluster) indexNodes(key string) {
	c.nodesBy[key] = map[string]map[string]struct{}{}
	for _, state := range c.nodes {
		if state.node != nil {
			c.fileNode(key, state.node)
		}
	}
}

func (c *Cluster) fileNode(key string, n *corev1.Node) {
	value, ok := n.Labels[key]
	if !ok {
		return
	}
	if c.nodesBy[key][value] == nil {
		c.nodesBy[key][value] = map[string]struct{}{}
	}
	c.nodesBy[key][value][n.Name] = struct{}{}
}

// refile moves a node to the domains of its labels; old or n may be nil.
func (c *Cluster) refile(old, n *corev1.Node) {
	for key, values := range c.nodesBy {
		if old != nil {
			value := old.Labels[key]
			if delete(values[value], old.Name); len(values[value]) == 0 {
				delete(values, value)
			}
		}
		if n != nil {
			c.fileNode(key, n)
		}
	}
}

// move is a pod that came to a node or left it; edge is how many pods there
// are now if just that made the difference between some and none.
type move struct {
	pod  *Subject
	node *corev1.Node
	edge int
}

// affected appends whom a move concerns that the tally has counted. For most
// that is nobody: only the first pod in a domain, and the last, matter.
func (c *Cluster) affected(t *tally, m move, out []Affected) []Affected {
	value, ok := m.node.Labels[t.term.topologyKey]
	if !ok {
		return out
	}
	d := t.in(m.node)
	for _, f := range t.followers {
		domain := Affected{Daemon: f.Key, TopologyKey: t.term.topologyKey, Value: value}
		if f.owner != "" && m.pod.owner == f.owner {
			if t.term.wide() {
				out = append(out, domain)
			}
			continue
		}
		if len(d.pods)-d.owners[f.owner] == m.edge {
			out = append(out, domain)
		}
		// The first of a group may go anywhere, the others not.
		if !f.anti && t.total-t.owners[f.owner] == m.edge && c.selects(t.term, f.Subject) {
			out = append(out, Affected{Daemon: f.Key})
		}
	}
	return out
}

// compactAffected sorts and removes duplicates. What affects every node of a
// daemon comes first.
func compactAffected(all []Affected) []Affected {
	if len(all) < 2 {
		return all
	}
	slices.SortFunc(all, func(a, b Affected) int {
		return cmp.Or(compareKeys(a.Daemon, b.Daemon),
			cmp.Compare(a.TopologyKey, b.TopologyKey), cmp.Compare(a.Value, b.Value))
	})
	return slices.Compact(all)
}

// EligibleAmong decides like Eligible, and in view of the pods around: a node
// where the required pod affinity or anti-affinity of the daemon does not hold
// is not eligible. A pod that is there may stay for a grace if nothing else
// speaks against it, for pods come and go: Grace says so.
//
// The node must be known. For a daemon that ChoosesNodes, ask Coverage.
func (c *Cluster) EligibleAmong(s *Subject, node string) Verdict {
	q := &question{c: c, s: s, asDaemon: true}
	return q.eligible(c.nodes[node])
}

func (q *question) eligible(state *nodeState) Verdict {
	reasons := q.s.againstNode(state.node, nil)
	firm := len(reasons)
	reasons = q.againstAffinity(state, reasons)
	reasons = q.againstAntiAffinity(state, reasons)
	v := verdict(reasons)
	v.Grace = !v.Continue && !slices.ContainsFunc(reasons[:firm], drivesOut)
	return v
}
