package daemonset

import (
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/view"
)

// roster keeps the nodes sorted from plan to plan. Heartbeats leave it alone:
// it keeps a node as it was when something last changed that a plan reads.
type roster struct {
	mu      sync.Mutex
	current *view.Roster
	// changed are the nodes to be put in, nil for those to be taken out.
	changed map[string]*corev1.Node
}

func newRoster() *roster {
	return &roster{current: view.NewRoster(nil), changed: map[string]*corev1.Node{}}
}

func (r *roster) set(node *corev1.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed[node.Name] = node
}

func (r *roster) remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed[name] = nil
}

// get returns the nodes as they are now.
func (r *roster) get() *view.Roster {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.changed) > 0 {
		r.current = r.current.With(r.changed)
		clear(r.changed)
	}
	return r.current
}

// judge says how nodes stand to a template.
type judge struct {
	subject *place.Subject
	stand   func(*corev1.Node) view.Standing
	// stale are nodes of which a former judgement is void.
	stale map[string]bool
}

// byItself judges each node by itself, without a look at other pods.
func byItself(subject *place.Subject) judge {
	return judge{subject: subject, stand: func(n *corev1.Node) view.Standing { return view.Stand(subject, n) }}
}

// standingsOn returns how the nodes stand to a template. Only nodes that have
// changed since the last time are judged.
func (m *memory) standingsOn(roster *view.Roster, j judge) []view.Standing {
	old, subject := &m.standings, j.subject
	if old.roster == roster && old.subject == subject && len(j.stale) == 0 {
		return old.nodes
	}
	nodes := roster.Nodes()
	fresh := make([]view.Standing, len(nodes))
	known := []*corev1.Node{}
	if old.subject == subject {
		known = old.roster.Nodes()
	}
	k := 0
	for i, n := range nodes {
		for k < len(known) && known[k].Name < n.Name {
			k++
		}
		if k < len(known) && known[k] == n && !j.stale[n.Name] {
			fresh[i] = old.nodes[k]
		} else {
			fresh[i] = j.stand(n)
		}
	}
	m.standings = standings{roster: roster, subject: subject, nodes: fresh}
	return fresh
}
