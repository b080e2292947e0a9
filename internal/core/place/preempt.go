package place

import (
	"cmp"
	"slices"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Preemption is how a pod that fits nowhere could get room, or why it cannot.
type Preemption struct {
	// Node is where the pod fits once the victims have left, and those that
	// are leaving anyway; "" if nowhere.
	Node string
	// Victims are to leave the node, the most important first. With a node
	// and no victims it is enough to wait.
	Victims []types.NamespacedName
	// Violations is how many of the victims a PodDisruptionBudget protects:
	// budgets are kept where there is a choice.
	Violations int

	// Never: the pod may not preempt by its preemptionPolicy, and the rest is
	// not set.
	Never bool
	// Unhelpful is how many nodes would refuse the pod whoever left them,
	// Victimless how many have no pod of lower priority, and Still says why
	// nodes would refuse it without all of these. Set only if Node is "".
	Unhelpful, Victimless int
	Still                 []Refusal
	// Nodes is how many nodes there are.
	Nodes int
}

// Preempt looks for a node on which the pod fits if pods of lower priority
// leave it: d, of the same moment, says why it fits nowhere now, budgets are
// those of all namespaces. No pod is a victim that could stay beside the others
// that stay, and none that is leaving anyway. Of several nodes it takes the one
// with the fewest violated budgets, then the one whose most important victim is
// least important, then the least sum of priorities, the fewest victims, the
// latest start of the most important victim, and the first by name.
//
// It tries out changes of the cluster, and undoes them before it returns.
func (c *Cluster) Preempt(s *Subject, d Decision, budgets []*policyv1.PodDisruptionBudget) Preemption {
	p := Preemption{Nodes: d.Nodes, Never: s.neverPreempts}
	if p.Never {
		return p
	}
	// Nodes that a pinned pod cannot be on are not among the refusals.
	p.Unhelpful = d.Nodes - len(d.Refusals)
	q := &question{c: c, s: s}
	var best *sacrifice
	tried := 0
	for _, refusal := range d.Refusals {
		if !preemptable(refusal.Reasons) {
			p.Unhelpful++
			continue
		}
		state := c.nodes[refusal.Node]
		lower := q.lower(state)
		if len(lower) == 0 {
			p.Victimless++
			continue
		}
		if tried++; tried > maxSacrifices(d.Nodes) {
			break
		}
		found, still := q.sacrifice(state, lower, budgets)
		if found == nil {
			p.Still = append(p.Still, Refusal{Node: refusal.Node, Reasons: still})
		} else if best == nil || found.compare(best) < 0 {
			best = found
		}
	}
	if best == nil {
		return p
	}
	return Preemption{Node: best.node, Victims: keysOf(best.victims), Violations: best.violations, Nodes: d.Nodes}
}

// maxSacrifices bounds how many nodes are tried out.
func maxSacrifices(nodes int) int { return max(100, nodes/10) }

func preemptable(reasons []Reason) bool {
	return !slices.ContainsFunc(reasons, func(r Reason) bool { return !r.Preemptable() })
}

// lower lists the pods of lower priority on a node, the most important first.
func (q *question) lower(state *nodeState) []*Subject {
	var out []*Subject
	for _, placed := range state.pods {
		if placed.Priority < q.s.Priority {
			out = append(out, placed)
		}
	}
	slices.SortFunc(out, compareImportance)
	return out
}

// compareImportance puts higher priority first, then the older pod. A pod that
// was not started yet is younger than all that were.
func compareImportance(a, b *Subject) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), compareStart(a.started, b.started), compareKeys(a.Key, b.Key))
}

func compareStart(a, b metav1.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b.Time)
}

// sacrifice is what a node would have to give up.
type sacrifice struct {
	node       string
	victims    []*Subject // the most important first
	violations int
}

// sacrifice removes all pods of lower priority from the node and gives back as
// many as it can, first those that a budget protects, the most important first.
// It returns nil, and why, if the pod would not fit even without them.
func (q *question) sacrifice(state *nodeState, lower []*Subject, budgets []*policyv1.PodDisruptionBudget) (*sacrifice, []Reason) {
	removed := make(map[*Subject]bool, len(lower))
	defer func() {
		for s := range removed {
			q.put(s, state)
		}
	}()
	for _, s := range lower {
		q.take(s, state)
		removed[s] = true
	}
	if still := q.fitsBesideNominated(state); len(still) > 0 {
		return nil, still
	}
	staying := slices.DeleteFunc(slices.Clone(lower), func(s *Subject) bool { return s.terminating })
	protected, others := protect(staying, budgets)
	reprieve := func(pods []*Subject) (victims []*Subject) {
		for _, s := range pods {
			q.put(s, state)
			delete(removed, s)
			if len(q.fitsBesideNominated(state)) > 0 {
				q.take(s, state)
				removed[s] = true
				victims = append(victims, s)
			}
		}
		return victims
	}
	out := &sacrifice{node: state.node.Name, victims: reprieve(protected)}
	out.violations = len(out.victims)
	out.victims = append(out.victims, reprieve(others)...)
	slices.SortFunc(out.victims, compareImportance)
	return out, nil
}

// protect tells the pods whose loss would violate a budget from the others,
// each in their order. Budgets allow so many disruptions, and pods are charged
// in order.
func protect(pods []*Subject, budgets []*policyv1.PodDisruptionBudget) (protected, others []*Subject) {
	left := make([]int32, len(budgets))
	for i, b := range budgets {
		left[i] = b.Status.DisruptionsAllowed
	}
	for _, s := range pods {
		violates := false
		for i, b := range budgets {
			if covers(b, s) {
				left[i]--
				violates = violates || left[i] < 0
			}
		}
		if violates {
			protected = append(protected, s)
		} else {
			others = append(others, s)
		}
	}
	return protected, others
}

// covers reports whether the loss of a pod is charged to a budget. One that is
// already being disrupted was charged before.
func covers(b *policyv1.PodDisruptionBudget, s *Subject) bool {
	if b.Namespace != s.Key.Namespace || len(s.labels) == 0 {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil || selector.Empty() || !selector.Matches(labels.Set(s.labels)) {
		return false
	}
	_, charged := b.Status.DisruptedPods[s.Key.Name]
	return !charged
}

// compare is negative if this sacrifice is to be preferred.
func (a *sacrifice) compare(b *sacrifice) int {
	return cmp.Or(
		cmp.Compare(a.violations, b.violations),
		cmp.Compare(a.topPriority(), b.topPriority()),
		cmp.Compare(a.sumOfPriorities(), b.sumOfPriorities()),
		cmp.Compare(len(a.victims), len(b.victims)),
		-compareStart(a.earliestTop(), b.earliestTop()),
		cmp.Compare(a.node, b.node),
	)
}

// topPriority is that of the most important victim; to have none is best.
func (a *sacrifice) topPriority() int64 {
	if len(a.victims) == 0 {
		return minPriority - 1
	}
	return int64(a.victims[0].Priority)
}

// minPriority is the lowest priority that there is.
const minPriority int64 = -1 << 31

// sumOfPriorities counts from the lowest priority up, so that one more victim
// never makes it less.
func (a *sacrifice) sumOfPriorities() int64 {
	var sum int64
	for _, s := range a.victims {
		sum += int64(s.Priority) - minPriority + 1
	}
	return sum
}

// earliestTop is when the oldest of the most important victims was started.
func (a *sacrifice) earliestTop() metav1.Time {
	if len(a.victims) == 0 {
		return metav1.Time{}
	}
	return a.victims[0].started
}

func keysOf(pods []*Subject) []types.NamespacedName {
	out := make([]types.NamespacedName, len(pods))
	for i, s := range pods {
		out[i] = s.Key
	}
	return out
}
