package view

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/rollout"
)

// StandAmong evaluates one node in view of the pods around. A node that the
// cluster does not know is gone. For a daemon that chooses nodes, ask StandAll.
func StandAmong(c *place.Cluster, subject *place.Subject, node string) Standing {
	if c.Node(node) == nil {
		return Standing{Verdict: rollout.Leave}
	}
	return Standing{
		Verdict: RolloutVerdict(c.EligibleAmong(subject, node)),
		Score:   c.Preference(subject, node),
	}
}

// StandAll evaluates all nodes of the roster together, for a daemon that chooses
// among them; those in chosen were its choice before.
func StandAll(c *place.Cluster, subject *place.Subject, roster *Roster, chosen map[string]bool) []Standing {
	standings := make([]Standing, len(roster.nodes))
	verdicts := c.CoverageKeeping(subject, chosen) // in order of name, like the roster
	for i, n := range roster.nodes {
		for len(verdicts) > 0 && verdicts[0].Node < n.Name {
			verdicts = verdicts[1:]
		}
		standings[i].Verdict = rollout.Leave
		if len(verdicts) > 0 && verdicts[0].Node == n.Name {
			standings[i] = Standing{Verdict: RolloutVerdict(verdicts[0].Verdict), Score: c.Preference(subject, n.Name)}
		}
	}
	return standings
}

// Unschedulable reports whether the scheduler has found no room for the pod.
func Unschedulable(pod *corev1.Pod) bool {
	s := podCondition(pod, corev1.PodScheduled)
	return pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil &&
		s != nil && s.Status == corev1.ConditionFalse && s.Reason == corev1.PodReasonUnschedulable
}

// Ended reports whether the pod has stopped for good: it takes nothing, and is
// company to nobody, any more.
func Ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
