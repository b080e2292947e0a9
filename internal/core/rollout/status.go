package rollout

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// stallAfter is how long a pod may take to start, or to end after its grace,
// before the status names it.
const stallAfter = 2 * time.Minute

// schedulerPatience is how long a scheduler that may not run here may take to say
// something of a pod, and pullPatience how long an agent may take to fetch images.
const (
	schedulerPatience = 10 * time.Second
	pullPatience      = 10 * time.Minute
)

// maxMessage bounds the message of a condition, in bytes.
const maxMessage = 1024

// Types of the conditions.
const (
	Available   = "Available"
	Progressing = "Progressing"
	Blocked     = "Blocked"
)

// count makes the status. acting says that the plan has actions.
func count(in *Input, sites []site, acting bool) Status {
	var st Status
	var t tally
	for i := range sites {
		s := &sites[i]
		t.add(s)
		first := s.first()
		switch {
		case s.verdict != Run && first != nil:
			st.Misscheduled++
			continue
		case s.verdict != Run:
			continue
		}
		st.Desired++
		if first == nil {
			t.unavailable.add(s.node.Name, s.lack())
			continue
		}
		st.Current++
		if in.Set.current(first) {
			st.Updated++
		}
		if !first.deleting() && first.ready() {
			st.Ready++
		}
		if !first.deleting() && s.isAvailable(in, first) {
			st.Available++
		} else {
			t.unavailable.add(s.node.Name, s.lack())
		}
	}
	st.Unavailable = st.Desired - st.Available
	st.Conditions = []Condition{
		t.available(in, st), t.progressing(in, st, acting), t.blocked(in),
	}
	return st
}

// first is the pod by which the counters judge a node: one that runs, else one
// that has ended, else one that is going.
func (s *site) first() *Pod {
	switch {
	case s.serving != nil:
		return s.serving
	case len(s.dead) > 0:
		return s.dead[0]
	case len(s.ending) > 0:
		return s.ending[0]
	}
	return nil
}

// lack is why the node has no available pod, as far as that is known.
func (s *site) lack() string {
	if s.reason.Waiting == "" && s.bad() {
		return "node not ready"
	}
	return s.reason.Waiting
}

// nodeList counts nodes and names the first few.
type nodeList struct {
	count int
	names []string
}

func (l *nodeList) add(node, detail string) {
	l.count++
	if len(l.names) >= namesShown {
		return
	}
	if detail != "" {
		node += " (" + detail + ")"
	}
	l.names = append(l.names, node)
}

func (l nodeList) String() string {
	text := strings.Join(l.names, ", ")
	if more := l.count - len(l.names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// podsShown is how many pods the status names of one node.
const podsShown = 10

// listed names the first few pods.
func listed(pods []string) string {
	if more := len(pods) - podsShown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(pods[:podsShown], ", "), more)
	}
	return strings.Join(pods, ", ")
}

// tally sorts the nodes by what the conditions have to say of them.
type tally struct {
	unavailable, waiting, moving, onDelete   nodeList
	failedWithUpdate, notStarting, notEnding nodeList
	failing, badNodes, crowded               nodeList
	notPulled, unscheduled                   nodeList
}

func (t *tally) add(s *site) {
	name, detail := s.node.Name, s.reason.Waiting
	if len(s.node.Crowd) > 0 && s.verdict == Run {
		t.crowded.add(name, listed(s.node.Crowd))
	}
	switch k := s.reason.Kind; {
	case k == HoldOnDelete:
		t.onDelete.add(name, "")
	case k == HoldBudget || k == HoldTurn:
		t.waiting.add(name, "")
	case k == FailedWithUpdate:
		t.failedWithUpdate.add(name, "")
	case k == BackOff:
		t.failing.add(name, "")
	case k == HoldBadNode:
		t.badNodes.add(name, "")
	case k == HoldNotPulled:
		t.notPulled.add(name, cmp.Or(detail, "no answer"))
	case (k == Starting || k == SurgeStarting) && s.stalled && s.reason.Scheduler != "":
		t.unscheduled.add(name, s.reason.Scheduler)
	case (k == Starting || k == SurgeStarting) && s.stalled:
		t.notStarting.add(name, detail)
	case (k == Terminating || k == Leaving) && s.stalled && !s.bad():
		t.notEnding.add(name, "")
	case k == Terminating || k == Starting || k == SurgeStarting || k == HoldPulling:
		t.moving.add(name, "")
	}
}

func (t *tally) available(in *Input, st Status) Condition {
	c := Condition{Type: Available, Holds: true, Reason: "AllPodsAvailable"}
	c.Message = fmt.Sprintf("%d of %d nodes have an available pod", st.Available, st.Desired)
	if st.Unavailable == 0 {
		return c
	}
	c.Message = clip(c.Message + "; missing on " + t.unavailable.String())
	tolerated := 0
	if !in.Strategy.OnDelete && !in.Strategy.surges() {
		tolerated = in.Strategy.limit(st.Desired)
	}
	c.Reason = "WithinMaxUnavailable"
	if st.Unavailable > tolerated || st.Available == 0 {
		c.Holds, c.Reason = false, "TooFewPodsAvailable"
	}
	return c
}

func (t *tally) progressing(in *Input, st Status, acting bool) Condition {
	c := Condition{Type: Progressing}
	c.Message = fmt.Sprintf("%d of %d nodes have revision %s", st.Updated, st.Desired, in.Set.Hash)
	switch {
	case st.Updated >= st.Desired && st.Available >= st.Desired:
		c.Reason = "Complete"
	case in.Strategy.OnDelete && t.onDelete.count > 0 && st.Unavailable == 0:
		c.Reason = "OnDelete"
		c.Message += "; the others wait for their pods to be deleted: " + t.onDelete.String()
	case !acting && t.moving.count == 0:
		c.Reason = "Blocked"
	case st.Updated < st.Desired:
		c.Holds, c.Reason = true, "RollingOut"
	default:
		c.Holds, c.Reason = true, "StartingPods"
		c.Message += "; waiting for " + t.unavailable.String()
	}
	c.Message = clip(c.Message)
	return c
}

func (t *tally) blocked(in *Input) Condition {
	c := Condition{Type: Blocked}
	var parts []string
	report := func(l nodeList, reason, format string) {
		if l.count == 0 {
			return
		}
		if c.Reason == "" {
			c.Holds, c.Reason = true, reason
		}
		parts = append(parts, fmt.Sprintf(format, l))
	}
	if in.CreateFailure != "" {
		c.Holds, c.Reason = true, "PodsNotCreated"
		parts = append(parts, "pods cannot be created: "+in.CreateFailure)
	}
	if t.waiting.count > 0 {
		report(t.failedWithUpdate, "UpdatedNodesFailed", "nodes went bad after they got the revision: %s")
	}
	report(t.crowded, "NodesCrowded", "pods that could run elsewhere, and are of the same priority, take the room on %s")
	report(t.notPulled, "ImagesNotPulled", "the old pods stay, for the images of the new revision cannot be pulled on %s")
	report(t.unscheduled, "PodsNotScheduled", "the scheduler that the pods name does not take them up on %s")
	report(t.notStarting, "PodsNotStarting", "pods do not become ready on %s")
	report(t.failing, "PodsFailing", "pods fail again and again on %s")
	report(t.notEnding, "PodsNotTerminating", "deleted pods do not end on %s")
	report(t.badNodes, "NodesNotReady", "nodes must recover before they get the revision: %s")
	if !c.Holds {
		c.Reason = "NothingBlocks"
	}
	c.Message = clip(strings.Join(parts, "; "))
	return c
}

// clip bounds a message.
func clip(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage-3], "") + "..."
}
