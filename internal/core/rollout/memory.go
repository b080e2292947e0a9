package rollout

import "time"

// Back-off of pods that fail again and again on one node.
const (
	firstBackOff = time.Second
	maxBackOff   = 15 * time.Minute
)

// Memory is what Plan must know of the past. Losing it is safe: what the next
// Plan cannot read from pods and nodes it then judges as if seen for the first
// time.
type Memory struct {
	// hash is the revision that the rest is about.
	hash string
	// nodes and troubles are in order of node name. What need not be remembered
	// of a node is left out, so troubles are few.
	nodes    []nodeMemory
	troubles []trouble
}

// nodeMemory is what every node leaves behind that has or had a pod.
type nodeMemory struct {
	node string
	// got is when the node first had a pod of the current revision.
	got  time.Time
	last predecessor
}

// trouble is what is remembered of a node that is or was in trouble.
type trouble struct {
	node string
	// badSince is when the present illness began. A Ready condition that goes
	// from False to Unknown starts a new transition, but not a new illness.
	badSince time.Time
	// lapsedSince is when the node was first seen with a pod and the verdict
	// Lapse.
	lapsedSince time.Time
	failures    backOff
}

// predecessor is the youngest pod that the node has had.
type predecessor struct {
	uid     string
	created time.Time
}

// backOff spaces the deletions of failed pods. It is of one revision: a new one
// starts afresh.
type backOff struct {
	delay time.Duration
	since time.Time
}

// until is when the next failed pod may be deleted.
func (b backOff) until() time.Time { return b.since.Add(b.delay) }

// next is the back-off after one more deletion.
func (b backOff) next(now time.Time) backOff {
	if b.delay == 0 || now.Sub(b.since) > 2*maxBackOff {
		return backOff{delay: firstBackOff, since: now}
	}
	return backOff{delay: min(2*b.delay, maxBackOff), since: now}
}

// reader reads a Memory in order of node name.
type reader struct {
	memory        Memory
	node, trouble int
	isCurrent     bool
}

func (r *reader) read(node string) (nodeMemory, trouble) {
	nodes, troubles := r.memory.nodes, r.memory.troubles
	for r.node < len(nodes) && nodes[r.node].node < node {
		r.node++
	}
	for r.trouble < len(troubles) && troubles[r.trouble].node < node {
		r.trouble++
	}
	m, t := nodeMemory{node: node}, trouble{node: node}
	if r.node < len(nodes) && nodes[r.node].node == node {
		m = nodes[r.node]
	}
	if r.trouble < len(troubles) && troubles[r.trouble].node == node {
		t = troubles[r.trouble]
	}
	if !r.isCurrent {
		m.got, t.failures = time.Time{}, backOff{}
	}
	return m, t
}

// observe brings the memory of a node up to date with what is seen now.
func (m *nodeMemory) observe(in *Input, names namer, n *Node) {
	for i := range n.Pods {
		p := &n.Pods[i]
		if in.Set.current(p) && (m.got.IsZero() || p.Created.Before(m.got)) {
			m.got = p.Created
		}
	}
	m.last = m.last.observe(names, n)
}

func (t *trouble) observe(in *Input, n *Node) {
	switch {
	case n.BadSince.IsZero():
		t.badSince = time.Time{}
	case t.badSince.IsZero() || n.BadSince.Before(t.badSince):
		t.badSince = n.BadSince
	}
	switch {
	case n.Verdict != Lapse || len(n.Pods) == 0:
		t.lapsedSince = time.Time{}
	case t.lapsedSince.IsZero():
		t.lapsedSince = in.Now
	}
}
