package rollout_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/garrison-project/garrison/internal/core/rollout"
)

func addNode(t *rapid.T, w *world) {
	name := fmt.Sprintf("n%02d", rapid.IntRange(0, 99).Draw(t, "node"))
	w.nodes[name] = rollout.Node{
		Name:    name,
		Verdict: drawVerdict(t),
		Score:   rapid.Int64Range(0, 2).Draw(t, "score"),

		PrePulls: rapid.Bool().Draw(t, "pulls"),
	}
}

func drawVerdict(t *rapid.T) rollout.Verdict {
	return rapid.SampledFrom([]rollout.Verdict{
		rollout.Run, rollout.Run, rollout.Run, rollout.Keep, rollout.Leave,
	}).Draw(t, "verdict")
}

// event makes one thing happen that the controller did not do.
func event(t *rapid.T, w *world) {
	names := slices.Sorted(maps.Keys(w.pods))
	if len(names) > 0 && rapid.IntRange(0, 3).Draw(t, "pod or node") > 0 {
		name := rapid.SampledFrom(names).Draw(t, "pod")
		w.happen(func() { podEvent(t, w, name) })
		return
	}
	w.happen(func() { clusterEvent(t, w) })
}

func podEvent(t *rapid.T, w *world, name string) {
	p := w.pods[name]
	bad := !w.exists(p.Node) || !w.nodes[p.Node].BadSince.IsZero()
	what := rapid.SampledFrom([]string{
		"start", "start", "start", "start", "unready", "fail", "succeed", "delete", "end", "end", "pulled", "notPulled",
	}).Draw(t, "pod event")
	switch {
	case what == "delete" && p.DeleteBy.IsZero():
		w.change(name, func(p *rollout.Pod) { p.DeleteBy = w.now.Add(deletionGrace) })
	case what == "pulled" && p.Pull.Hash != "":
		w.change(name, func(p *rollout.Pod) { p.Pull.State = rollout.Pulled })
	case what == "notPulled" && p.Pull.Hash != "":
		w.change(name, func(p *rollout.Pod) { p.Pull.State = rollout.PullFailed })
	case bad: // nothing runs on such a node
	case what == "start" && runs(p) && p.ReadySince.IsZero():
		w.change(name, func(p *rollout.Pod) { p.Bound, p.ReadySince = true, w.now })
	case what == "unready":
		w.change(name, func(p *rollout.Pod) { p.ReadySince = time.Time{} })
	case what == "fail" && runs(p):
		w.change(name, func(p *rollout.Pod) { p.Bound, p.Phase, p.ReadySince = true, rollout.Failed, time.Time{} })
	case what == "succeed" && runs(p):
		w.change(name, func(p *rollout.Pod) { p.Bound, p.Phase, p.ReadySince = true, rollout.Succeeded, time.Time{} })
	case what == "end" && !p.DeleteBy.IsZero():
		delete(w.pods, name)
	}
}

func clusterEvent(t *rapid.T, w *world) {
	switch rapid.SampledFrom([]string{
		"time", "time", "template", "back", "join", "leave", "ill", "well", "verdict", "restart",
	}).Draw(t, "cluster event") {
	case "time":
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
	case "template":
		w.revision++
		clear(w.broken)
	case "back":
		w.revision = max(1, w.revision-1)
		clear(w.broken)
	case "join":
		addNode(t, w)
	case "leave":
		w.editNode(t, func(n *rollout.Node) { delete(w.nodes, n.Name) })
	case "ill":
		w.editNode(t, func(n *rollout.Node) { n.Away = rapid.Bool().Draw(t, "away"); w.breakDown(*n) })
	case "well":
		w.editNode(t, func(n *rollout.Node) { n.BadSince, n.Away = time.Time{}, false; w.nodes[n.Name] = *n })
	case "verdict":
		w.editNode(t, func(n *rollout.Node) { n.Verdict = drawVerdict(t); w.nodes[n.Name] = *n })
	case "restart":
		w.memory = rollout.Memory{}
		clear(w.broken)
	}
}

// editNode edits one of the nodes, if there are any.
func (w *world) editNode(t *rapid.T, edit func(*rollout.Node)) {
	names := slices.Sorted(maps.Keys(w.nodes))
	if len(names) == 0 {
		return
	}
	n := w.nodes[rapid.SampledFrom(names).Draw(t, "node")]
	edit(&n)
}
