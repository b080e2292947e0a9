package rollout_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/garrison-project/garrison/internal/core/rollout"
)

// TestProperties lets random things happen to random clusters, with a view that
// lags, and then leaves them alone to see where they settle.
func TestProperties(t *testing.T) {
	for name, draw := range strategies {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			strategy := draw(rapid.IntRange(1, 3).Draw(t, "amount"))
			w := newWorld(strategy, time.Duration(rapid.IntRange(0, 2).Draw(t, "minReady"))*5*time.Second)
			w.prePull = rapid.Bool().Draw(t, "prePull")
			for range rapid.IntRange(1, 8).Draw(t, "nodes") {
				addNode(t, w)
			}
			if rapid.Bool().Draw(t, "established") {
				settle(t, w)
				w.revision++
				clear(w.broken)
			}
			for range rapid.IntRange(0, 80).Draw(t, "turns") {
				if rapid.IntRange(0, 2).Draw(t, "plan") == 0 {
					turn(t, w)
				} else {
					event(t, w)
				}
				checkNodes(t, w)
			}
			settle(t, w)
		}))
	}
}

var strategies = map[string]func(n int) rollout.Strategy{
	"unavailable": func(n int) rollout.Strategy {
		return rollout.Strategy{MaxUnavailable: rollout.Amount{Value: n}}
	},
	"percent": func(n int) rollout.Strategy {
		return rollout.Strategy{MaxUnavailable: rollout.Amount{Value: 20 * n, Percent: true}}
	},
	"surge": func(n int) rollout.Strategy {
		return rollout.Strategy{MaxSurge: rollout.Amount{Value: n}}
	},
	"onDelete": func(int) rollout.Strategy { return rollout.Strategy{OnDelete: true} },
}

// turn plans on a view that may lag, and carries out a part of the actions.
func turn(t *rapid.T, w *world) {
	lag := rapid.IntRange(0, 4).Draw(t, "lag")
	in := w.view(lag)
	d := plan(t, w, in)
	checkFetches(t, w, in, d)
	for _, a := range d.Actions {
		if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
			continue
		}
		takes := mark(w, in, a)
		if takes {
			checkImages(t, w, in, a)
		}
		w.carryOut(a)
		if takes {
			checkBudget(t, w, in)
		}
		if takes && lag == 0 && w.strategy.MaxSurge.Value == 0 {
			checkBlame(t, w, in)
		}
	}
}

// plan asks twice, and wants the same bytes and an untouched input.
func plan(t *rapid.T, w *world, in rollout.Input) rollout.Decision {
	before := fmt.Sprintf("%#v", in)
	d := rollout.Plan(in)
	if again := rollout.Plan(in); fmt.Sprintf("%#v", d) != fmt.Sprintf("%#v", again) {
		t.Fatalf("equal inputs gave two decisions:\n%+v\n%+v", d, again)
	}
	if fmt.Sprintf("%#v", in) != before {
		t.Fatal("Plan changed its input")
	}
	w.memory = d.Memory
	return d
}

// mark notes what an action takes down or starts, judged by the view it was
// decided on, and reports whether it is anything that a budget limits.
func mark(w *world, in rollout.Input, a rollout.Action) bool {
	i := slices.IndexFunc(in.Nodes, func(n rollout.Node) bool { return n.Name == a.Node })
	if i < 0 || in.Nodes[i].Verdict == rollout.Leave || a.Verb == rollout.Fetch {
		return false
	}
	serves := func(p rollout.Pod) bool { return w.servesIn(in, p) }
	pods := in.Nodes[i].Pods
	if a.Verb == rollout.Create {
		w.surging[a.Node] = slices.ContainsFunc(pods, serves)
		return w.surging[a.Node]
	}
	running := 0
	for _, p := range pods {
		if runs(p) {
			running++
		}
	}
	j := slices.IndexFunc(pods, func(p rollout.Pod) bool { return p.UID == a.UID })
	takes := j >= 0 && serves(pods[j]) && running == 1
	w.down[a.Node] = w.down[a.Node] || takes
	return takes
}

// servesIn reports whether the pod is available in a view.
func (w *world) servesIn(in rollout.Input, p rollout.Pod) bool {
	return runs(p) && !p.ReadySince.IsZero() && in.Now.Sub(p.ReadySince) >= w.minReady
}

// checkBudget: the pods taken down, and those started beside others, for a
// rollout never exceed the budget.
func checkBudget(t *rapid.T, w *world, in rollout.Input) {
	surging := w.strategy.MaxSurge.Value > 0
	if most := limit(w.strategy.MaxUnavailable, in); !surging && marked(w.down) > most {
		t.Fatalf("%d nodes taken down at once, at most %d may be: %v", marked(w.down), most, w.down)
	}
	if most := limit(w.strategy.MaxSurge, in); marked(w.surging) > most {
		t.Fatalf("%d nodes surging at once, at most %d may: %v", marked(w.surging), most, w.surging)
	}
}

// checkImages: no pod that serves is taken down for a successor whose images its
// agent was not seen to have, if it can fetch them.
func checkImages(t *rapid.T, w *world, in rollout.Input, a rollout.Action) {
	if !in.PrePull || a.Verb != rollout.Delete || w.strategy.OnDelete || w.strategy.MaxSurge.Value > 0 {
		return
	}
	for _, n := range in.Nodes {
		if n.Name != a.Node || !n.PrePulls || n.Verdict != rollout.Run {
			continue
		}
		for _, p := range n.Pods {
			if p.UID == a.UID && (p.Pull.Hash != in.Set.Hash || p.Pull.State != rollout.Pulled) {
				t.Fatalf("%s taken down without images for its successor: %+v", p.Name, p.Pull)
			}
		}
	}
}

// checkFetches: nobody is asked who cannot fetch, or was asked before, and no more
// than the budget allows to go and once as many ahead are at it.
func checkFetches(t *rapid.T, w *world, in rollout.Input, d rollout.Decision) {
	fetching := 0
	for _, a := range d.Actions {
		if a.Verb != rollout.Fetch {
			continue
		}
		i := slices.IndexFunc(in.Nodes, func(n rollout.Node) bool { return n.Name == a.Node })
		if !in.PrePull || !in.Nodes[i].PrePulls {
			t.Fatalf("asked to fetch images, but cannot: %+v", a)
		}
		for _, p := range in.Nodes[i].Pods {
			if p.UID == a.UID && p.Pull.Hash == in.Set.Hash {
				t.Fatalf("asked to fetch images again: %+v", a)
			}
		}
		fetching++
	}
	if fetching == 0 {
		return
	}
	for _, n := range in.Nodes {
		for _, p := range n.Pods {
			if p.Pull.Hash == in.Set.Hash && p.Pull.State == rollout.Pulling && n.PrePulls &&
				n.BadSince.IsZero() && n.Verdict == rollout.Run && w.servesIn(in, p) {
				fetching++
			}
		}
	}
	if most := 2 * limit(w.strategy.MaxUnavailable, in); fetching > most {
		t.Fatalf("%d agents fetch images at once, at most %d may", fetching, most)
	}
}

// limit is an amount of the nodes of a view; it may be less in truth, never more.
func limit(a rollout.Amount, in rollout.Input) int {
	if a.Percent {
		return (a.Value*len(in.Nodes) + 99) / 100
	}
	return a.Value
}

// checkBlame: nodes that went bad with the new revision count as taken down.
func checkBlame(t *rapid.T, w *world, in rollout.Input) {
	all := maps.Clone(w.down)
	for node := range w.broken {
		all[node] = true
	}
	if most := limit(w.strategy.MaxUnavailable, in); marked(all) > most {
		t.Fatalf("%d nodes down or broken by the update, at most %d may be: %v and %v", marked(all), most, w.down, w.broken)
	}
}

func marked(nodes map[string]bool) int {
	count := 0
	for _, is := range nodes {
		if is {
			count++
		}
	}
	return count
}

// checkNodes: never more pods on a node than one, and one more when surging.
func checkNodes(t *rapid.T, w *world) {
	most := 1
	if w.strategy.MaxSurge.Value > 0 {
		most = 2
	}
	for name := range w.nodes {
		running := 0
		for _, p := range w.podsOn(name) {
			if runs(p) {
				running++
			}
		}
		if running > most {
			t.Fatalf("%d running pods on %s: %+v", running, name, w.podsOn(name))
		}
	}
}

// settle ends all troubles, lets every pod become ready, and wants the cluster
// to come to rest where it should, without doing any one thing twice.
func settle(t *rapid.T, w *world) {
	for name, n := range w.nodes {
		n.BadSince, n.Away = time.Time{}, false
		w.nodes[name] = n
	}
	w.past = nil
	done := map[rollout.Action]int{}
	for range 40 + 20*len(w.nodes) {
		d := plan(t, w, w.view(0))
		if len(d.Actions) == 0 && d.WakeAt.IsZero() && !w.unsettled() {
			checkRest(t, w)
			return
		}
		for _, a := range d.Actions {
			if done[a]++; done[a] > 1 {
				t.Fatalf("action repeated: %+v", a)
			}
			w.carryOut(a)
		}
		w.now = w.now.Add(time.Second)
		if len(d.Actions) == 0 && d.WakeAt.After(w.now) && !w.unsettled() {
			w.now = d.WakeAt
		}
		w.mature()
	}
	t.Fatalf("does not come to rest: %+v", w.input())
}

// unsettled reports whether pods have still to start or end, or images to come.
func (w *world) unsettled() bool {
	for _, p := range w.pods {
		if p.Pull.Hash != "" && p.Pull.State != rollout.Pulled {
			return true
		}
		if !p.DeleteBy.IsZero() || p.Bound && !w.exists(p.Node) || p.Phase == rollout.Active && (!p.Bound || p.ReadySince.IsZero()) {
			return true
		}
	}
	return false
}

// mature starts every pod that has still to start, ends those that were deleted
// more than a second ago, and collects what is bound to nodes that are gone.
func (w *world) mature() {
	for name, p := range w.pods {
		switch {
		case !p.DeleteBy.IsZero():
			if begun := p.DeleteBy.Add(-deletionGrace); w.now.Sub(begun) > time.Second {
				delete(w.pods, name)
			}
		case !w.exists(p.Node):
			if p.Bound {
				delete(w.pods, name)
			}
		case p.Pull.Hash != "" && p.Pull.State != rollout.Pulled:
			w.change(name, func(p *rollout.Pod) { p.Pull.State = rollout.Pulled })
		case p.Phase == rollout.Active && p.ReadySince.IsZero():
			w.change(name, func(p *rollout.Pod) { p.Bound, p.ReadySince = true, w.now })
		}
	}
	w.forget()
}

// checkRest: every eligible node has exactly one pod, of the current revision
// unless updates are left to whoever deletes pods, and no other node has one.
func checkRest(t *rapid.T, w *world) {
	for name, n := range w.nodes {
		pods := w.podsOn(name)
		least, most := 0, 1
		switch n.Verdict {
		case rollout.Run:
			least = 1
		case rollout.Leave:
			most = 0
		}
		if len(pods) < least || len(pods) > most {
			t.Fatalf("%d pods on %s, verdict %d: %+v", len(pods), name, n.Verdict, pods)
		}
		for _, p := range pods {
			if !w.available(p) {
				t.Fatalf("at rest, but the pod is not available: %+v", p)
			}
			if !w.strategy.OnDelete && p.Hash != fmt.Sprint(w.revision) {
				t.Fatalf("at rest, but the pod is outdated: %+v", p)
			}
		}
	}
	for _, p := range w.pods {
		if !w.exists(p.Node) {
			t.Fatalf("at rest, but the pod has no node: %+v", p)
		}
	}
}
