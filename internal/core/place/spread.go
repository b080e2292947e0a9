package place

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// spreadConstraint is a topology spread constraint.
type spreadConstraint struct {
	selector    labels.Selector
	topologyKey string
	maxSkew     int
	minDomains  int
	// honorAffinity leaves out nodes that the pod's node selector and required
	// node affinity refuse, honorTaints those with untolerated taints.
	honorAffinity bool
	honorTaints   bool
}

// spreadConstraints are the constraints of a pod: those that must hold, and
// those that should.
type spreadConstraints struct {
	hard, soft []spreadConstraint
}

// compileSpread returns nil for a pod without constraints. A selector that
// cannot be read, which the API refuses, selects nothing.
func compileSpread(pod *corev1.Pod) *spreadConstraints {
	if len(pod.Spec.TopologySpreadConstraints) == 0 {
		return nil
	}
	out := &spreadConstraints{}
	for i := range pod.Spec.TopologySpreadConstraints {
		spec := &pod.Spec.TopologySpreadConstraints[i]
		selector, err := selectorWithKeys(spec.LabelSelector, pod.Labels, labelKeys{match: spec.MatchLabelKeys})
		if err != nil {
			selector = labels.Nothing()
		}
		c := spreadConstraint{
			selector:      selector,
			topologyKey:   spec.TopologyKey,
			maxSkew:       int(spec.MaxSkew),
			minDomains:    1,
			honorAffinity: spec.NodeAffinityPolicy == nil || *spec.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor,
			honorTaints:   spec.NodeTaintsPolicy != nil && *spec.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor,
		}
		if spec.MinDomains != nil {
			c.minDomains = int(*spec.MinDomains)
		}
		if spec.WhenUnsatisfiable == corev1.ScheduleAnyway {
			out.soft = append(out.soft, c)
		} else {
			out.hard = append(out.hard, c)
		}
	}
	return out
}

// selects reports whether a placed pod counts for the constraint of a pod.
// Terminating ones do not: they leave.
func (c *spreadConstraint) selects(s, placed *Subject) bool {
	return placed.Key.Namespace == s.Key.Namespace && !placed.terminating &&
		c.selector.Matches(labels.Set(placed.labels))
}

// counts reports whether pods on the node count for the constraint.
func (c *spreadConstraint) counts(s *Subject, n *corev1.Node) bool {
	if c.honorAffinity && !s.matchesLabels(n) {
		return false
	}
	return !c.honorTaints || len(s.againstTaints(n, nil)) == 0
}

// spreadTally counts the pods of a constraint by domain.
type spreadTally struct {
	*spreadConstraint
	domains map[string]int
	// least is the smallest count; stale if it must be found anew.
	least int
	stale bool
}

// tallySpread counts for each hard constraint the pods in all domains. A pinned
// pod has one node, so only this one counts for constraints that honour that.
func (q *question) tallySpread() []spreadTally {
	if q.spread != nil || q.s.spread == nil {
		return q.spread
	}
	hard := q.s.spread.hard
	names := q.c.Nodes()
	if q.oneNodeCounts(hard) {
		names = q.c.candidates(q.s)
	}
	q.spread = newSpreadTallies(hard)
	for _, name := range names {
		state := q.c.nodes[name]
		if !hasTopologies(state.node, hard) {
			continue
		}
		for i := range q.spread {
			q.spread[i].addNode(q.s, state)
		}
	}
	return q.spread
}

func newSpreadTallies(constraints []spreadConstraint) []spreadTally {
	out := make([]spreadTally, 0, len(constraints))
	for i := range constraints {
		out = append(out, spreadTally{spreadConstraint: &constraints[i], domains: map[string]int{}, stale: true})
	}
	return out
}

func (q *question) oneNodeCounts(constraints []spreadConstraint) bool {
	if q.s.Pinned == "" || q.s.nodeName != "" {
		return false
	}
	for i := range constraints {
		if !constraints[i].honorAffinity {
			return false
		}
	}
	return true
}

// hasTopologies reports whether a node is in a domain of every constraint;
// other nodes count for none.
func hasTopologies(n *corev1.Node, constraints []spreadConstraint) bool {
	for i := range constraints {
		if _, ok := n.Labels[constraints[i].topologyKey]; !ok {
			return false
		}
	}
	return true
}

// addNode counts the pods of a node, which makes its domain known even if
// there are none.
func (t *spreadTally) addNode(s *Subject, state *nodeState) {
	if !t.counts(s, state.node) {
		return
	}
	n := 0
	for _, placed := range state.pods {
		if t.selects(s, placed) {
			n++
		}
	}
	t.domains[state.node.Labels[t.topologyKey]] += n
}

// moved takes into account a pod that came to a node (1) or left it (-1) since
// the pods were counted.
func (q *question) moved(s *Subject, state *nodeState, sign int) {
	if q.spread == nil || !hasTopologies(state.node, q.s.spread.hard) {
		return
	}
	for i := range q.spread {
		t := &q.spread[i]
		if t.counts(q.s, state.node) && t.selects(q.s, s) {
			t.domains[state.node.Labels[t.topologyKey]] += sign
			t.stale = true
		}
	}
}

// minimum is what the skew is measured against: the smallest count, or 0 if
// there are fewer domains than asked for.
func (t *spreadTally) minimum() int {
	if len(t.domains) < t.minDomains {
		return 0
	}
	if t.stale {
		t.least = math.MaxInt32
		for _, n := range t.domains {
			t.least = min(t.least, n)
		}
		t.stale = false
	}
	return t.least
}

// againstSpread appends the spread constraints that the pod would break.
func (q *question) againstSpread(state *nodeState, out []Reason) []Reason {
	tallies := q.tallySpread()
	for i := range tallies {
		t := &tallies[i]
		value, ok := state.node.Labels[t.topologyKey]
		if !ok {
			out = append(out, SpreadLabelMissing{TopologyKey: t.topologyKey})
			continue
		}
		there := t.domains[value]
		if t.selector.Matches(labels.Set(q.s.labels)) {
			there++
		}
		if least := t.minimum(); there-least > t.maxSkew {
			out = append(out, SpreadViolation{
				TopologyKey: t.topologyKey, Topology: Label{Value: value, Present: true},
				Selector: selectorText(t.selector), MaxSkew: t.maxSkew, There: there, Least: least,
			})
		}
	}
	return out
}
