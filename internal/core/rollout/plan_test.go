package rollout_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/render"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// transcript is the state that one golden file carries from plan to plan.
type transcript struct {
	now    time.Time
	memory rollout.Memory
}

// TestTranscripts runs the golden files in testdata/plan, which read as a manual of
// rollouts. Rewrite them with -rewrite, and commit only what you understand.
//
// A line is a node and its pods: words about the node, then the pods, each from
// its rev= on. The command's arguments are the DaemonSet. A plan begins afresh
// unless it says then=, which is the time since the last one.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		tr := &transcript{now: start}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "plan" {
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			in := tr.parse(t, d)
			before := fmt.Sprintf("%#v", in)
			decision := rollout.Plan(in)
			for range 20 {
				if again := rollout.Plan(in); fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", decision) {
					d.Fatalf(t, "equal inputs gave two decisions:\n%#v\n%#v", decision, again)
				}
			}
			if after := fmt.Sprintf("%#v", in); after != before {
				d.Fatalf(t, "Plan changed its input:\n%s\n%s", before, after)
			}
			tr.memory = decision.Memory
			return text(t, d, decision, tr.now)
		})
	})
}

func text(t *testing.T, d *datadriven.TestData, decision rollout.Decision, now time.Time) string {
	var b strings.Builder
	if !d.HasArg("quiet") {
		if err := render.Rollout(&b, decision, now); err != nil {
			t.Fatal(err)
		}
	}
	if d.HasArg("status") {
		if err := render.RolloutStatus(&b, decision.Status); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// parse reads the arguments and the lines of a plan.
func (tr *transcript) parse(t *testing.T, d *datadriven.TestData) rollout.Input {
	in := rollout.Input{
		Set:      rollout.Set{Name: "ds", UID: "ds-uid", Hash: "1"},
		Strategy: rollout.Strategy{MaxUnavailable: rollout.Amount{Value: 1}},
	}
	then := false
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "rev":
			in.Set.Hash = value
		case "gen":
			in.Set.Generation = value
		case "name":
			in.Set.Name = value
		case "maxUnavailable":
			in.Strategy.MaxUnavailable = amount(t, value)
		case "maxSurge":
			in.Strategy.MaxSurge, in.Strategy.MaxUnavailable = amount(t, value), rollout.Amount{}
		case "onDelete":
			in.Strategy = rollout.Strategy{OnDelete: true}
		case "minReady":
			in.MinReady = duration(t, value)
		case "grace":
			in.PlacementGrace = duration(t, value)
		case "taken":
			in.TakenNames = arg.Vals
		case "createFailure":
			in.CreateFailure = value
		case "then":
			then = true
			tr.now = tr.now.Add(duration(t, value))
		case "forget":
			tr.memory = rollout.Memory{}
		case "prePull":
			in.PrePull = true
		case "status", "quiet":
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
	if !then {
		tr.now, tr.memory = start, rollout.Memory{}
	}
	in.Now, in.Memory = tr.now, tr.memory
	for line := range strings.Lines(d.Input) {
		tr.parseLine(t, &in, strings.Fields(line))
	}
	return in
}

// parseLine reads one node with its pods.
func (tr *transcript) parseLine(t *testing.T, in *rollout.Input, words []string) {
	n := rollout.Node{Name: words[0], Verdict: rollout.Run}
	gone := false
	first := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "rev=") })
	if first < 0 {
		first = len(words)
	}
	for _, word := range words[1:first] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "keep":
			n.Verdict = rollout.Keep
		case "lapse":
			n.Verdict = rollout.Lapse
		case "leave":
			n.Verdict = rollout.Leave
		case "gone":
			gone = true
		case "bad":
			n.BadSince = tr.now.Add(-duration(t, value))
		case "away":
			n.BadSince, n.Away = tr.now.Add(-duration(t, value)), true
		case "pulls":
			n.PrePulls = true
		case "crowd":
			n.Crowd = strings.Split(value, ",")
		case "score":
			score, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			n.Score = score
		default:
			t.Fatalf("unknown word %q for node %s", word, n.Name)
		}
	}
	n.Pods = tr.parsePods(t, n.Name, words[first:])
	if gone {
		in.Strays = append(in.Strays, n.Pods...)
		return
	}
	in.Nodes = append(in.Nodes, n)
}

// parsePods reads the pods of a node. They come in the order that Input asks
// for only if they are written so.
func (tr *transcript) parsePods(t *testing.T, node string, words []string) []rollout.Pod {
	var pods []rollout.Pod
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		if key == "rev" {
			pods = append(pods, rollout.Pod{
				Name: node + "-" + value, UID: "uid-" + node + "-" + value, Node: node,
				Bound: true, Created: tr.now.Add(-time.Hour), Hash: value,
			})
			continue
		}
		p := &pods[len(pods)-1]
		switch key {
		case "available":
			p.ReadySince = tr.now.Add(-30 * time.Minute)
		case "ready":
			p.ReadySince = tr.now.Add(-duration(t, value))
		case "unavailable":
		case "starting":
			p.Created = tr.now.Add(-10 * time.Second)
		case "name":
			p.Name, p.UID = value, "uid-"+value
		case "age":
			p.Created = tr.now.Add(-duration(t, value))
		case "gen":
			p.Generation = value
		case "ending":
			p.DeleteBy = tr.now.Add(30 * time.Second)
			if value != "" {
				p.DeleteBy = tr.now.Add(-duration(t, value))
			}
		case "failed":
			p.Phase = rollout.Failed
		case "succeeded":
			p.Phase = rollout.Succeeded
		case "unbound":
			p.Bound = false
		case "waiting":
			p.Waiting = value
		case "scheduler":
			p.Scheduler = value
		case "pulling", "pulled", "notPulled":
			p.Pull = parsePull(t, tr.now, key, value)
		default:
			t.Fatalf("unknown word %q for a pod on %s", word, node)
		}
	}
	return pods
}

// parsePull reads what was asked of a pod's agent: pulling=HASH or
// pulling=HASH,SINCE, pulled=HASH, notPulled=HASH,REASON.
func parsePull(t *testing.T, now time.Time, state, value string) rollout.Pull {
	hash, detail, _ := strings.Cut(value, ",")
	pull := rollout.Pull{Hash: hash, Since: now.Add(-10 * time.Second)}
	switch state {
	case "pulling":
		if detail != "" {
			pull.Since = now.Add(-duration(t, detail))
		}
	case "pulled":
		pull.State = rollout.Pulled
	case "notPulled":
		pull.State, pull.Reason = rollout.PullFailed, detail
	}
	return pull
}

func amount(t *testing.T, s string) rollout.Amount {
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	return rollout.Amount{Value: n, Percent: percent}
}

func duration(t *testing.T, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
