package render

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/garrison-project/garrison/internal/core/rollout"
)

// RolloutWord is one word for what is done on a node.
func RolloutWord(k rollout.Kind) string {
	switch k {
	case rollout.CreateMissing, rollout.CreateBeside:
		return "create"
	case rollout.Surge:
		return "surge"
	case rollout.RemoveIneligible, rollout.RemoveLapsed, rollout.RemoveFailed,
		rollout.RemoveSucceeded, rollout.RemoveDuplicate, rollout.RemoveUnbound,
		rollout.RemoveOutdated, rollout.RemoveUnready, rollout.SurgeDone:
		return "delete"
	case rollout.Replace, rollout.ReplaceUnavailable:
		return "replace"
	case rollout.PrePull:
		return "pull"
	case rollout.HoldBudget, rollout.HoldTurn, rollout.HoldPulling, rollout.HoldNotPulled, rollout.HoldBadNode, rollout.HoldOnDelete, rollout.HoldDeparture:
		return "hold"
	case rollout.Starting, rollout.SurgeStarting, rollout.Terminating, rollout.Leaving,
		rollout.BackOff, rollout.BadNode:
		return "wait"
	case rollout.UpToDate, rollout.Lapsing:
		return "keep"
	case rollout.FailedWithUpdate:
		return "failed"
	case rollout.Closed, rollout.NotEligible:
		return "none"
	case rollout.NodeGone:
		return "gone"
	}
	return "unknown"
}

// rolloutTexts say why, for the kinds that need no further detail.
var rolloutTexts = map[rollout.Kind]string{
	rollout.CreateMissing:      "the node has no pod",
	rollout.CreateBeside:       "the old pod is unavailable, so a new one starts beside it",
	rollout.RemoveIneligible:   "no pod may be here",
	rollout.RemoveLapsed:       "the placement grace is over",
	rollout.RemoveFailed:       "failed, makes room for its successor",
	rollout.RemoveSucceeded:    "ended, makes room for its successor",
	rollout.RemoveDuplicate:    "the node has another pod",
	rollout.RemoveUnbound:      "waits for a node that does not exist",
	rollout.ReplaceUnavailable: "already unavailable, needs no further budget",
	rollout.RemoveOutdated:     "outdated, and no new pod may come here",
	rollout.RemoveUnready:      "no longer ready, and its successor is here",
	rollout.SurgeDone:          "its successor is available",
	rollout.UpToDate:           "up to date and available",
	rollout.BadNode:            "up to date; the node was bad before",
	rollout.FailedWithUpdate:   "the node went bad after it got this revision",
	rollout.Terminating:        "the pod is ending, its successor follows",
	rollout.Leaving:            "the pod is ending, none follows",
	rollout.PrePull:            "the new images are fetched before the pod makes way",
	rollout.HoldTurn:           "others have the new images fetched first",
	rollout.HoldPulling:        "the new images are being fetched",
	rollout.HoldBadNode:        "outdated; the node must recover first",
	rollout.HoldOnDelete:       "outdated until someone deletes it",
	rollout.HoldDeparture:      "outdated; others must be available first",
	rollout.Closed:             "no new pod may come here",
	rollout.NotEligible:        "no pod may be here",
	rollout.NodeGone:           "the node does not exist; its pod is left to garbage collection",
}

// RolloutReason says why a node is treated as it is. Times are given relative
// to now.
func RolloutReason(r rollout.Reason, now time.Time) string {
	in := ""
	if !r.Until.IsZero() {
		in = " for another " + r.Until.Sub(now).String()
	}
	switch r.Kind {
	case rollout.Replace:
		return "within maxUnavailable, budget " + budget(r.Budget)
	case rollout.Surge:
		return "within maxSurge, budget " + budget(r.Budget)
	case rollout.HoldBudget:
		return "budget " + budget(r.Budget)
	case rollout.HoldNotPulled:
		return "the new images cannot be fetched: " + cmp.Or(r.Waiting, "no answer")
	case rollout.BackOff:
		return "failed again, kept" + in
	case rollout.Lapsing:
		return "nothing asks for it any more, kept" + in
	case rollout.Starting, rollout.SurgeStarting:
		text := "up to date, not yet available"
		if r.Kind == rollout.SurgeStarting {
			text = "new pod not yet available, the old one serves"
		}
		if r.Waiting != "" {
			text += ": " + r.Waiting
		}
		if r.Scheduler != "" {
			text += ": waits for the scheduler " + r.Scheduler
		}
		if in != "" {
			text += ", must stay ready" + in
		}
		return text
	}
	return rolloutTexts[r.Kind]
}

func budget(b rollout.Budget) string {
	text := fmt.Sprintf("%d/%d", b.Spent, b.Limit)
	if b.Spent == 0 {
		return text
	}
	text += " spent by " + strings.Join(b.By, ", ")
	if more := b.Spent - len(b.By); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Rollout writes a decision as text: the actions in their order, then the nodes
// where nothing is done, then when to look again.
func Rollout(w io.Writer, d rollout.Decision, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, a := range d.Actions {
		r := rollout.Reason{Node: a.Node, Kind: a.Why}
		if i, found := slices.BinarySearchFunc(d.Reasons, a.Node, byNode); found && d.Reasons[i].Kind == a.Why {
			r = d.Reasons[i]
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", RolloutWord(a.Why), a.Node, a.Pod, RolloutReason(r, now))
	}
	for _, r := range d.Reasons {
		if r.Kind <= rollout.SurgeDone {
			continue
		}
		pod := r.Pod
		if pod == "" {
			pod = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", RolloutWord(r.Kind), r.Node, pod, RolloutReason(r, now))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write rollout: %w", err)
	}
	wake := "on event"
	if !d.WakeAt.IsZero() {
		wake = "in " + d.WakeAt.Sub(now).String()
	}
	if _, err := fmt.Fprintf(w, "wake  %s\n", wake); err != nil {
		return fmt.Errorf("write rollout: %w", err)
	}
	return nil
}

func byNode(r rollout.Reason, node string) int { return strings.Compare(r.Node, node) }

// RolloutStatus writes the counters and the conditions of a decision as text.
func RolloutStatus(w io.Writer, st rollout.Status) error {
	_, err := fmt.Fprintf(w, "desired=%d current=%d ready=%d updated=%d available=%d unavailable=%d misscheduled=%d\n",
		st.Desired, st.Current, st.Ready, st.Updated, st.Available, st.Unavailable, st.Misscheduled)
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	for _, c := range st.Conditions {
		line := strings.TrimRight(fmt.Sprintf("%s=%t %s %s", c.Type, c.Holds, c.Reason, c.Message), " ")
		if _, err := fmt.Fprintln(w, line); err != nil {
			return fmt.Errorf("write status: %w", err)
		}
	}
	return nil
}
