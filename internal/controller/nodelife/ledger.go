package nodelife

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/node/topology"
)

// exclusionLabel keeps a node out of the judgement of its zone.
const exclusionLabel = "node.kubernetes.io/exclude-disruption"

// ledger is all that is remembered of the nodes, and decides from it. It does
// nothing but answer, and is not safe for concurrent use.
type ledger struct {
	grace, startupGrace time.Duration
	nodes               map[string]known
	zones               *zones
}

// known is what is remembered of one node. A node created anew under the same
// name has another UID, and begins anew.
type known struct {
	uid types.UID
	memory
}

// plan is what to do about one node. Fields that are zero ask for nothing.
type plan struct {
	// Conditions replace those of the node; the rest is only true once they
	// are written.
	Conditions []corev1.NodeCondition
	Fell       bool // say that the node is not ready any more
	Tell       bool // mark its pods not ready
	// Taints replace those of the node.
	Taints []corev1.Taint
	// Wake is when to look again; zero: after the next event.
	Wake time.Time
	// Others are nodes to look at again because of this one.
	Others []string

	next memory
}

func newLedger(grace, startupGrace time.Duration) *ledger {
	return &ledger{grace: grace, startupGrace: startupGrace, nodes: map[string]known{}, zones: newZones()}
}

// enrol enters a node that was there before the ledger.
func (l *ledger) enrol(h heartbeat, now time.Time) {
	l.hear(h, now)
	ready := condition(h.Node, corev1.NodeReady)
	l.zones.place(memberOf(h.Node, ready != nil && ready.Status == corev1.ConditionTrue), now)
}

// hear notes signs of life and returns what is remembered of the node.
func (l *ledger) hear(h heartbeat, now time.Time) memory {
	m, ok := l.nodes[h.Node.Name]
	if !ok || m.uid != h.Node.UID {
		m = known{uid: h.Node.UID, memory: meet(h, now)}
	} else {
		m.memory = hear(m.memory, h, now)
	}
	l.nodes[h.Node.Name] = m
	return m.memory
}

// heard notes that the lease of a node was renewed.
func (l *ledger) heard(name string, renewed metav1.MicroTime, now time.Time) {
	if m, ok := l.nodes[name]; ok && renewed.After(m.Renewed.Time) {
		m.Renewed, m.Heard = renewed, now
		l.nodes[name] = m
	}
}

// plan decides about one node.
func (l *ledger) plan(h heartbeat, now time.Time) plan {
	verdict, next := judge(healthView{
		Node: h.Node, Memory: l.hear(h, now),
		Grace: l.grace, StartupGrace: l.startupGrace, Now: now,
	})
	p := plan{Conditions: verdict.Conditions, Fell: verdict.Fell, Tell: verdict.Tell, next: next}
	node := h.Node
	if p.Conditions != nil {
		node = node.DeepCopy()
		node.Status.Conditions = p.Conditions
	}
	wasBlackout := l.zones.blackout()
	p.Others = l.zones.place(memberOf(node, verdict.Ready == corev1.ConditionTrue), now)
	if wasBlackout && !l.zones.blackout() {
		l.pardon(now)
	}
	turn, turnAt := l.zones.turn(node.Name, now)
	p.Taints = taints(taintView{
		Node: node, Ready: verdict.Ready, Blackout: l.zones.blackout(), Turn: turn, Now: metav1.NewTime(now),
	})
	p.Wake = sooner(verdict.Wake, turnAt)
	return p
}

// pardon gives all nodes a fresh grace: after a blackout we may have been cut
// off rather than they.
func (l *ledger) pardon(now time.Time) {
	for name, m := range l.nodes {
		m.Heard = now
		l.nodes[name] = m
	}
}

// commit notes that the conditions of a plan are written.
func (l *ledger) commit(node *corev1.Node, p plan) {
	if m, ok := l.nodes[node.Name]; ok && m.uid == node.UID {
		m.Ready, m.Told = p.next.Ready, p.next.Told
		l.nodes[node.Name] = m
	}
}

// told notes that the pods of a node are marked not ready.
func (l *ledger) told(node *corev1.Node) {
	if m, ok := l.nodes[node.Name]; ok && m.uid == node.UID {
		m.Told = true
		l.nodes[node.Name] = m
	}
}

// forget strikes out a node that is gone and returns nodes to look at again.
func (l *ledger) forget(name string) []string {
	delete(l.nodes, name)
	return l.zones.forget(name)
}

func memberOf(node *corev1.Node, ready bool) member {
	_, excluded := node.Labels[exclusionLabel]
	return member{Name: node.Name, Zone: topology.GetZoneKey(node), Ready: ready, Evicting: evicting(node), Excluded: excluded}
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
