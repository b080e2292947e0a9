package rollout_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/garrison-project/garrison/internal/core/rollout"
)

// deletionGrace is what every deleted pod is given to end.
const deletionGrace = 30 * time.Second

// world is a cluster in miniature with one DaemonSet. It knows nothing of how
// Plan decides: it carries out actions and lets things happen.
type world struct {
	now      time.Time
	strategy rollout.Strategy
	minReady time.Duration
	prePull  bool
	revision int
	nodes    map[string]rollout.Node // without pods
	pods     map[string]rollout.Pod  // by name
	made     int
	memory   rollout.Memory

	// past are the states that a lagging view may still show, oldest first. An
	// own write empties it: the shell does not plan behind its own writes.
	past []rollout.Input

	// down are the nodes whose available pod a rollout took, until they have an
	// available pod again, or may have none, or go bad or away.
	down map[string]bool
	// broken are the nodes that went bad with a pod of the current revision,
	// until they recover, go, may have no pod, or the template changes.
	broken map[string]bool
	// surging are the nodes where a pod was started beside an available old one,
	// until either changes, or the template changes back to the old pod's.
	surging map[string]bool
}

func newWorld(strategy rollout.Strategy, minReady time.Duration) *world {
	return &world{
		now: start, strategy: strategy, minReady: minReady, revision: 1,
		nodes: map[string]rollout.Node{}, pods: map[string]rollout.Pod{},
		down: map[string]bool{}, broken: map[string]bool{}, surging: map[string]bool{},
	}
}

// input is the world as it is now.
func (w *world) input() rollout.Input {
	in := rollout.Input{
		Now:      w.now,
		Set:      rollout.Set{Name: "ds", UID: "ds-uid", Hash: fmt.Sprint(w.revision)},
		Strategy: w.strategy,
		MinReady: w.minReady,
		PrePull:  w.prePull,
	}
	for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
		n := w.nodes[name]
		n.Pods = w.podsOn(name)
		in.Nodes = append(in.Nodes, n)
	}
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		if p := w.pods[name]; !w.exists(p.Node) {
			in.Strays = append(in.Strays, p)
		}
	}
	slices.SortStableFunc(in.Strays, func(a, b rollout.Pod) int { return cmp.Compare(a.Node, b.Node) })
	return in
}

func (w *world) exists(node string) bool {
	_, found := w.nodes[node]
	return found
}

// podsOn are the pods of a node: bound before unbound, the oldest, by name.
func (w *world) podsOn(node string) []rollout.Pod {
	var pods []rollout.Pod
	for _, p := range w.pods {
		if p.Node == node {
			pods = append(pods, p)
		}
	}
	slices.SortFunc(pods, func(a, b rollout.Pod) int {
		unbound := func(p rollout.Pod) int {
			if p.Bound {
				return 0
			}
			return 1
		}
		return cmp.Or(unbound(a)-unbound(b), a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	return pods
}

// view is the world as an informer may show it: lag events late, and with the
// time that it was then. Whether a pod is still ready that was ready a while ago
// cannot be told by anyone whose view is older than minReady.
func (w *world) view(lag int) rollout.Input {
	in := w.input()
	if n := len(w.past); lag > 0 && n > 0 {
		in = w.past[max(0, n-lag)]
	}
	in.Memory = w.memory
	return in
}

// happen makes one change that is not the controller's.
func (w *world) happen(change func()) {
	w.past = append(w.past, w.input())
	change()
	w.forget()
}

// carryOut applies one action as the API would.
func (w *world) carryOut(a rollout.Action) {
	switch p, found := w.pods[a.Pod]; {
	case a.Verb == rollout.Create && !found:
		w.made++
		w.pods[a.Pod] = rollout.Pod{
			Name: a.Pod, UID: fmt.Sprintf("uid-%d", w.made), Node: a.Node,
			Created: w.now.Truncate(time.Second), Hash: fmt.Sprint(w.revision),
		}
	case a.Verb == rollout.Fetch && found && p.UID == a.UID:
		p.Pull = rollout.Pull{Hash: fmt.Sprint(w.revision), Since: w.now}
		w.pods[a.Pod] = p
	case a.Verb == rollout.Delete && found && p.UID == a.UID && p.DeleteBy.IsZero():
		p.DeleteBy = w.now.Add(deletionGrace)
		w.pods[a.Pod] = p
		if !p.Bound || !w.exists(p.Node) {
			delete(w.pods, a.Pod)
		}
	}
	w.past = nil
	w.forget()
}

// change edits a pod if it still exists.
func (w *world) change(name string, edit func(*rollout.Pod)) {
	if p, found := w.pods[name]; found {
		edit(&p)
		w.pods[name] = p
	}
}

// runs reports whether a pod runs or will.
func runs(p rollout.Pod) bool { return p.Phase == rollout.Active && p.DeleteBy.IsZero() }

func (w *world) available(p rollout.Pod) bool {
	return runs(p) && !p.ReadySince.IsZero() && w.now.Sub(p.ReadySince) >= w.minReady
}

// forget drops the marks of nodes that recovered or that other things befell.
func (w *world) forget() {
	for node := range w.down {
		if !w.mayHavePod(node) || !w.nodes[node].BadSince.IsZero() || slices.ContainsFunc(w.podsOn(node), w.available) {
			delete(w.down, node)
		}
	}
	for node := range w.broken {
		if !w.mayHavePod(node) || w.nodes[node].BadSince.IsZero() {
			delete(w.broken, node)
		}
	}
	for node := range w.surging {
		serving, starting := 0, 0
		for _, p := range w.podsOn(node) {
			switch {
			case w.available(p) && p.Hash != fmt.Sprint(w.revision):
				serving++
			case runs(p) && !w.available(p):
				starting++
			}
		}
		if n, found := w.nodes[node]; !found || !n.BadSince.IsZero() || serving != 1 || starting != 1 {
			delete(w.surging, node)
		}
	}
}

// mayHavePod reports whether a node has a pod that may stay, or may get one.
func (w *world) mayHavePod(node string) bool {
	n, found := w.nodes[node]
	return found && (n.Verdict == rollout.Run || n.Verdict == rollout.Keep && len(w.podsOn(node)) > 0)
}

// breakDown makes a node bad.
func (w *world) breakDown(n rollout.Node) {
	isCurrent := func(p rollout.Pod) bool { return p.Hash == fmt.Sprint(w.revision) }
	if n.BadSince.IsZero() && slices.ContainsFunc(w.podsOn(n.Name), isCurrent) {
		w.broken[n.Name] = true
	}
	n.BadSince = w.now
	w.nodes[n.Name] = n
}
