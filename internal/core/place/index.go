package place

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxIdleTallies is how many tallies are kept that no daemon follows, for the
// next pod of the same template. Making one costs a look at every pod.
const maxIdleTallies = 256

// index knows for each pod term which pods it concerns, by domain. Two kinds
// of tallies keep that:
//
//   - of a term that is asked about: the pods that it selects;
//   - of a term that placed pods have: those pods, for affinity works both ways.
//
// A pod that comes or goes changes the tallies that concern it, and costs the
// same whatever the number of nodes and of other pods.
type index struct {
	// asked holds the tallies of selected pods by the id of the term.
	asked map[string]*tally
	// askedIn finds them by namespace of the pods; those of terms with a
	// namespace selector are in askedAnywhere.
	askedIn       map[string][]*tally
	askedAnywhere []*tally
	// heldAnti are the required anti-affinity terms of placed pods, heldWeights
	// what their other terms are worth to the pods that they select.
	heldAnti    map[string]*tally
	heldWeights map[weightID]*tally
	// turns counts questions, to tell which tally was not used for longest.
	turns uint64
}

type weightID struct {
	term   string
	weight int64
}

// tally is the pods that a term concerns, by domain. Pods on nodes without the
// topology key are in no domain and do not count.
type tally struct {
	term    *podTerm
	domains map[string]*domain
	total   int
	// owners counts the daemon pods in total by their DaemonSet.
	owners map[types.UID]int
	// followers are the daemons whose eligibility hangs on the term.
	followers []follower
	lastUsed  uint64
}

// domain is the pods that a term concerns under one value of its topology key.
type domain struct {
	pods   map[types.NamespacedName]*Subject
	owners map[types.UID]int
	// first is the first pod by name, once it was asked for.
	first *Subject
}

func newIndex() index {
	return index{
		asked:       map[string]*tally{},
		askedIn:     map[string][]*tally{},
		heldAnti:    map[string]*tally{},
		heldWeights: map[weightID]*tally{},
	}
}

func newTally(t *podTerm) *tally {
	return &tally{term: t, domains: map[string]*domain{}, owners: map[types.UID]int{}}
}

// in returns the domain that a node is in; it is empty, not nil, without pods.
func (t *tally) in(n *corev1.Node) *domain {
	if value, ok := n.Labels[t.term.topologyKey]; ok {
		if d := t.domains[value]; d != nil {
			return d
		}
	}
	return &noPods
}

var noPods domain

// add counts a pod on a node, once however many of its terms are the same.
func (t *tally) add(s *Subject, n *corev1.Node) {
	value, ok := n.Labels[t.term.topologyKey]
	if !ok {
		return
	}
	d := t.domains[value]
	if d == nil {
		d = &domain{pods: map[types.NamespacedName]*Subject{}, owners: map[types.UID]int{}}
		t.domains[value] = d
	}
	if _, counted := d.pods[s.Key]; counted {
		return
	}
	d.pods[s.Key] = s
	d.first = nil
	t.total++
	if s.owner != "" {
		d.owners[s.owner]++
		t.owners[s.owner]++
	}
}

// remove no longer counts a pod on a node.
func (t *tally) remove(s *Subject, n *corev1.Node) {
	value, ok := n.Labels[t.term.topologyKey]
	if !ok {
		return
	}
	d := t.domains[value]
	if d == nil || d.pods[s.Key] == nil {
		return
	}
	delete(d.pods, s.Key)
	d.first = nil
	t.total--
	if s.owner != "" {
		decrement(d.owners, s.owner)
		decrement(t.owners, s.owner)
	}
	if len(d.pods) == 0 {
		delete(t.domains, value)
	}
}

func decrement[K comparable](m map[K]int, key K) {
	if m[key]--; m[key] == 0 {
		delete(m, key)
	}
}

// witness returns the first pod of the domain by name that is not excused, or
// nil. It is one look unless the first one is excused.
func (d *domain) witness(excused func(*Subject) bool) *Subject {
	if len(d.pods) == 0 {
		return nil
	}
	if d.first == nil {
		d.first = d.firstOf(func(*Subject) bool { return false })
	}
	if !excused(d.first) {
		return d.first
	}
	return d.firstOf(excused)
}

func (d *domain) firstOf(excused func(*Subject) bool) *Subject {
	var first *Subject
	for _, s := range d.pods {
		if !excused(s) && (first == nil || compareKeys(s.Key, first.Key) < 0) {
			first = s
		}
	}
	return first
}

// enter counts a pod that is on a known node in all tallies that it concerns.
func (c *Cluster) enter(s *Subject, n *corev1.Node) []Affected {
	c.index.hold(s, n, (*tally).add)
	var out []Affected
	for _, t := range c.index.concerning(s) {
		if c.selects(t.term, s) {
			t.add(s, n)
			out = c.affected(t, move{pod: s, node: n, edge: 1}, out)
		}
	}
	return compactAffected(out)
}

// exit is the reverse of enter.
func (c *Cluster) exit(s *Subject, n *corev1.Node) []Affected {
	c.index.hold(s, n, (*tally).remove)
	c.index.dropUnheld(s)
	var out []Affected
	for _, t := range c.index.concerning(s) {
		if c.selects(t.term, s) {
			t.remove(s, n)
			out = c.affected(t, move{pod: s, node: n, edge: 0}, out)
		}
	}
	return compactAffected(out)
}

func (c *Cluster) selects(t *podTerm, s *Subject) bool {
	return t.selects(s, c.namespaces[s.Key.Namespace])
}

// concerning returns the tallies of terms that may select the pod.
func (x *index) concerning(s *Subject) []*tally {
	near := x.askedIn[s.Key.Namespace]
	if len(x.askedAnywhere) == 0 {
		return near
	}
	return slices.Concat(near, x.askedAnywhere)
}

// hold adds a pod to, or removes it from, the tallies of the terms that it has
// itself and under which its node is in a domain.
func (x *index) hold(s *Subject, n *corev1.Node, apply func(*tally, *Subject, *corev1.Node)) {
	if s.pods == nil {
		return
	}
	inDomain := func(t *podTerm) bool { _, ok := n.Labels[t.topologyKey]; return ok }
	for i := range s.pods.anti {
		if t := &s.pods.anti[i]; inDomain(t) {
			apply(held(x.heldAnti, t.id, t), s, n)
		}
	}
	for i := range s.pods.affinity {
		if t := &s.pods.affinity[i]; inDomain(t) {
			apply(held(x.heldWeights, weightID{t.id, hardAffinityWeight}, t), s, n)
		}
	}
	for i := range s.pods.preferred {
		if t := &s.pods.preferred[i]; inDomain(&t.podTerm) {
			apply(held(x.heldWeights, weightID{t.id, t.weight}, &t.podTerm), s, n)
		}
	}
}

func held[K comparable](of map[K]*tally, key K, term *podTerm) *tally {
	t := of[key]
	if t == nil {
		t = newTally(term)
		of[key] = t
	}
	return t
}

// dropUnheld forgets the terms of a pod that no pod has any more.
func (x *index) dropUnheld(s *Subject) {
	if s.pods == nil {
		return
	}
	for i := range s.pods.anti {
		dropEmptyTally(x.heldAnti, s.pods.anti[i].id)
	}
	for i := range s.pods.affinity {
		dropEmptyTally(x.heldWeights, weightID{s.pods.affinity[i].id, hardAffinityWeight})
	}
	for i := range s.pods.preferred {
		t := &s.pods.preferred[i]
		dropEmptyTally(x.heldWeights, weightID{t.id, t.weight})
	}
}

func dropEmptyTally[K comparable](of map[K]*tally, key K) {
	if t := of[key]; t != nil && t.total == 0 {
		delete(of, key)
	}
}

// ask returns the tally of a term, made from all pods if there is none yet.
func (c *Cluster) ask(term *podTerm) *tally {
	x := &c.index
	x.turns++
	t := x.asked[term.id]
	if t == nil {
		x.dropIdle()
		t = newTally(term)
		for _, p := range c.pods {
			n := c.nodes[p.node].node
			if n != nil && c.selects(term, p.Subject) {
				t.add(p.Subject, n)
			}
		}
		x.asked[term.id] = t
		x.file(t)
	}
	t.lastUsed = x.turns
	return t
}

func (x *index) file(t *tally) {
	if t.term.inNamespaces != nil {
		x.askedAnywhere = append(x.askedAnywhere, t)
		return
	}
	for _, ns := range t.term.namespaces {
		x.askedIn[ns] = append(x.askedIn[ns], t)
	}
}

// dropIdle makes room for another tally: of those that nobody follows the one
// that was not asked for the longest time goes.
func (x *index) dropIdle() {
	var oldest *tally
	idle := 0
	for _, t := range x.asked {
		if len(t.followers) > 0 {
			continue
		}
		idle++
		if oldest == nil || t.lastUsed < oldest.lastUsed {
			oldest = t
		}
	}
	if idle < maxIdleTallies {
		return
	}
	delete(x.asked, oldest.term.id)
	is := func(t *tally) bool { return t == oldest }
	x.askedAnywhere = slices.DeleteFunc(x.askedAnywhere, is)
	for _, ns := range oldest.term.namespaces {
		if x.askedIn[ns] = slices.DeleteFunc(x.askedIn[ns], is); len(x.askedIn[ns]) == 0 {
			delete(x.askedIn, ns)
		}
	}
}
