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
	// nodes are in order of name; nodes with nothing to remember are left out.
	nodes []nodeMemory
}

// nodeMemory is the past of one node.
type nodeMemory struct {
	node string
	// badSince is when the present illness began. A Ready condition that goes
	// from False to Unknown starts a new transition, but not a new illness.
	badSince time.Time
	// got is when the node first had a pod of the revision gotHash.
	gotHash string
	got     time.Time
	// lapsedSince is when the node was first seen with the verdict Lapse.
	lapsedSince time.Time
	last        predecessor
	failures    backOff
}

// predecessor is the youngest pod that the node has had.
type predecessor struct {
	uid     string
	created time.Time
}

// backOff spaces the deletions of failed pods. It belongs to one revision: a
// new one starts afresh.
type backOff struct {
	hash  string
	delay time.Duration
	since time.Time
}

// until is when the next failed pod may be deleted.
func (b backOff) until(hash string) time.Time {
	if b.hash != hash {
		return time.Time{}
	}
	return b.since.Add(b.delay)
}

// next is the back-off after one more deletion.
func (b backOff) next(hash string, now time.Time) backOff {
	n := backOff{hash: hash, delay: firstBackOff, since: now}
	if b.hash == hash && now.Sub(b.since) <= 2*maxBackOff {
		n.delay = min(2*b.delay, maxBackOff)
	}
	return n
}

// of returns the memory of the node at the cursor, which moves forward only:
// ask in order of node name.
func (m Memory) of(node string, cursor *int) nodeMemory {
	for *cursor < len(m.nodes) && m.nodes[*cursor].node < node {
		*cursor++
	}
	if *cursor < len(m.nodes) && m.nodes[*cursor].node == node {
		return m.nodes[*cursor]
	}
	return nodeMemory{node: node}
}

// observe brings the memory of a node up to date with what is seen now.
func (m nodeMemory) observe(in *Input, names namer, n *Node) nodeMemory {
	switch {
	case n.BadSince.IsZero():
		m.badSince = time.Time{}
	case m.badSince.IsZero() || n.BadSince.Before(m.badSince):
		m.badSince = n.BadSince
	}
	switch {
	case n.Verdict != Lapse:
		m.lapsedSince = time.Time{}
	case m.lapsedSince.IsZero():
		m.lapsedSince = in.Now
	}
	if m.gotHash != in.Set.Hash {
		m.gotHash, m.got = "", time.Time{}
	}
	for i := range n.Pods {
		p := &n.Pods[i]
		if in.Set.current(p) && (m.got.IsZero() || p.Created.Before(m.got)) {
			m.gotHash, m.got = in.Set.Hash, p.Created
		}
	}
	m.last = m.last.observe(names, n)
	return m
}

// blamed reports whether the node went bad after it got the current revision,
// so that the revision may be the cause.
func (m nodeMemory) blamed() bool {
	return !m.badSince.IsZero() && !m.got.IsZero() && !m.badSince.Before(m.got)
}

// excused reports whether the node is bad for a reason that the current
// revision cannot have caused.
func (m nodeMemory) excused() bool { return !m.badSince.IsZero() && !m.blamed() }

func (m nodeMemory) empty() bool {
	return m == nodeMemory{node: m.node}
}
