// Package podstatus edits the conditions of pods by the rules that all who
// write them share. What to write is the writers' business.
package podstatus

import (
	corev1 "k8s.io/api/core/v1"
)

// SetCondition puts a condition into a status the caller owns. The time of an
// existing condition moves only when its status does, so next carries the
// present time.
func SetCondition(status *corev1.PodStatus, next corev1.PodCondition) {
	for i, old := range status.Conditions {
		if old.Type != next.Type {
			continue
		}
		if old.Status == next.Status {
			next.LastTransitionTime = old.LastTransitionTime
		}
		next.LastProbeTime = old.LastProbeTime
		status.Conditions[i] = next
		return
	}
	status.Conditions = append(status.Conditions, next)
}

// Condition returns a condition of a status, nil if it has none of that type.
func Condition(status *corev1.PodStatus, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			return &status.Conditions[i]
		}
	}
	return nil
}

// IsReady tells whether the Ready condition is True.
func IsReady(status *corev1.PodStatus) bool {
	c := Condition(status, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// IsTerminal tells whether nothing of the pod runs, or will run, any more.
func IsTerminal(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
