package place

import (
	"cmp"
	"slices"
)

// NodeVerdict is the verdict on one node.
type NodeVerdict struct {
	Node string
	Verdict
}

// Coverage decides for every known node, in order of name, whether it should
// have the daemon's pod. It is EligibleAmong for each, and settles what single
// verdicts cannot: a daemon that keeps away from itself over a domain gets one
// node of each, and one that keeps to itself gets one domain. The choice is
// stable: a node that has the pod keeps it, then the most preferred is taken,
// then the first by name.
func (c *Cluster) Coverage(s *Subject) []NodeVerdict { return c.CoverageKeeping(s, nil) }

// CoverageKeeping is Coverage by one who has chosen before: the nodes of that
// choice come next to those that have the pod. So a node keeps its choice while
// its pod is not bound yet, or is being replaced.
func (c *Cluster) CoverageKeeping(s *Subject, chosen map[string]bool) []NodeVerdict {
	q := &question{c: c, s: s, asDaemon: true}
	out := make([]NodeVerdict, 0, len(c.Nodes()))
	for _, name := range c.Nodes() {
		out = append(out, NodeVerdict{Node: name, Verdict: q.eligible(c.nodes[name])})
	}
	own := c.selfTerms(s)
	for _, term := range own.affinity {
		c.chooseDomain(term, out)
	}
	if len(own.anti) > 0 {
		c.chooseNodes(c.claims(s, out, chosen), own.anti)
	}
	return out
}

// ChoosesNodes reports whether the daemon's verdict on one node hangs on which
// others it is on, so that only Coverage can tell.
func (c *Cluster) ChoosesNodes(s *Subject) bool {
	own := c.selfTerms(s)
	return len(own.affinity)+len(own.anti) > 0
}

// selfTerms are the required terms over wide domains by which a daemon selects
// its own pods.
type selfTerms struct {
	affinity, anti []*podTerm
}

func (c *Cluster) selfTerms(s *Subject) selfTerms {
	if s.pods == nil {
		return selfTerms{}
	}
	pick := func(terms []podTerm) (out []*podTerm) {
		for i := range terms {
			if t := &terms[i]; t.invalid == "" && t.wide() && c.selects(t, s) {
				out = append(out, t)
			}
		}
		return out
	}
	return selfTerms{affinity: pick(s.pods.affinity), anti: pick(s.pods.anti)}
}

// chooseDomain refuses the nodes outside one domain, if the daemon has no pod
// yet that has made the choice: the domain with the most places, or of several
// the first by value.
func (c *Cluster) chooseDomain(term *podTerm, verdicts []NodeVerdict) {
	if c.ask(term).total > 0 {
		return
	}
	places := map[string]int{}
	for _, v := range verdicts {
		if v.Run {
			places[labelOf(c.nodes[v.Node].node, term.topologyKey).Value]++
		}
	}
	chosen, most := "", 0
	for value, n := range places {
		if n > most || n == most && value < chosen {
			chosen, most = value, n
		}
	}
	for i := range verdicts {
		v := &verdicts[i]
		if here := labelOf(c.nodes[v.Node].node, term.topologyKey); v.Run && here.Value != chosen {
			v.refuse(OneDomain{TopologyKey: term.topologyKey, Topology: here, Chosen: chosen})
		}
	}
}

// refuse withdraws a node for the sake of another.
func (v *Verdict) refuse(r Reason) {
	*v = Verdict{Grace: true, Reasons: append(v.Reasons, r)}
}

// domainName is a domain of a term.
type domainName struct {
	term  *podTerm
	value string
}

// chooseNodes refuses all but one node in each domain of each term; claims says
// who may choose first.
func (c *Cluster) chooseNodes(claims []*NodeVerdict, terms []*podTerm) {
	taken := map[domainName]string{}
	for _, v := range claims {
		domains := c.domainsOf(v.Node, terms)
		if i := slices.IndexFunc(domains, func(d domainName) bool { return taken[d] != "" }); i >= 0 {
			d := domains[i]
			v.refuse(OnePerDomain{
				TopologyKey: d.term.topologyKey, Topology: Label{Value: d.value, Present: true}, Node: taken[d],
			})
			continue
		}
		for _, d := range domains {
			taken[d] = v.Node
		}
	}
}

func (c *Cluster) domainsOf(node string, terms []*podTerm) []domainName {
	var out []domainName
	for _, term := range terms {
		if value, ok := c.nodes[node].node.Labels[term.topologyKey]; ok {
			out = append(out, domainName{term, value})
		}
	}
	return out
}

// rank says how good a claim a node has on its domain; lower is better.
type rank int

const (
	// holds: it has the pod, which may stay.
	holds rank = iota
	// lapses: it has the pod still, for a grace. Another would not be let in
	// beside it.
	lapses
	// wasChosen: it was chosen before.
	wasChosen
	// mayHave: nothing speaks against it.
	mayHave
)

// claims lists the nodes that have or can have the pod in the order in which
// they may choose: by rank, then by preference, then by name.
func (c *Cluster) claims(s *Subject, verdicts []NodeVerdict, chosen map[string]bool) []*NodeVerdict {
	has := map[string]bool{}
	for key := range c.owned[s.owner] {
		has[c.pods[key].node] = true
	}
	type claim struct {
		*NodeVerdict
		rank       rank
		preference int64
	}
	var claims []claim
	add := func(v *NodeVerdict, r rank) { claims = append(claims, claim{v, r, c.Preference(s, v.Node)}) }
	for i := range verdicts {
		switch v := &verdicts[i]; {
		case v.Continue && has[v.Node]:
			add(v, holds)
		case v.Grace && has[v.Node]:
			add(v, lapses)
		case v.Run && chosen[v.Node]:
			add(v, wasChosen)
		case v.Run:
			add(v, mayHave)
		}
	}
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.preference, a.preference), cmp.Compare(a.Node, b.Node))
	})
	out := make([]*NodeVerdict, len(claims))
	for i := range claims {
		out[i] = claims[i].NodeVerdict
	}
	return out
}
