package view

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/core/rollout"
)

// Status is the status of a DaemonSet with new counters and conditions.
// Conditions that others have set, collisionCount and observedGeneration stay;
// a condition that holds as before keeps the time of its last transition.
func Status(old *appsv1.DaemonSetStatus, st rollout.Status, now time.Time) *appsv1.DaemonSetStatus {
	status := old.DeepCopy()
	status.DesiredNumberScheduled = int32(st.Desired)
	status.CurrentNumberScheduled = int32(st.Current)
	status.NumberMisscheduled = int32(st.Misscheduled)
	status.NumberReady = int32(st.Ready)
	status.UpdatedNumberScheduled = int32(st.Updated)
	status.NumberAvailable = int32(st.Available)
	status.NumberUnavailable = int32(st.Unavailable)
	for _, c := range st.Conditions {
		setCondition(status, c, now)
	}
	return status
}

func setCondition(status *appsv1.DaemonSetStatus, c rollout.Condition, now time.Time) {
	updated := appsv1.DaemonSetCondition{
		Type:               appsv1.DaemonSetConditionType(c.Type),
		Status:             corev1.ConditionFalse,
		LastTransitionTime: metav1.NewTime(now).Rfc3339Copy(),
		Reason:             c.Reason,
		Message:            c.Message,
	}
	if c.Holds {
		updated.Status = corev1.ConditionTrue
	}
	i := slices.IndexFunc(status.Conditions, func(old appsv1.DaemonSetCondition) bool { return old.Type == updated.Type })
	if i < 0 {
		status.Conditions = append(status.Conditions, updated)
		return
	}
	if status.Conditions[i].Status == updated.Status {
		updated.LastTransitionTime = status.Conditions[i].LastTransitionTime
	}
	status.Conditions[i] = updated
}
