package podstatus

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSetCondition(t *testing.T) {
	at := func(seconds int64) metav1.Time { return metav1.NewTime(time.Unix(seconds, 0)) }
	status := &corev1.PodStatus{}
	for _, step := range []struct {
		now   int64
		value corev1.ConditionStatus
		since int64
	}{{1, corev1.ConditionFalse, 1}, {2, corev1.ConditionTrue, 2}, {3, corev1.ConditionTrue, 2}, {4, corev1.ConditionFalse, 4}} {
		SetCondition(status, corev1.PodCondition{Type: corev1.PodReady, Status: step.value, LastTransitionTime: at(step.now), ObservedGeneration: step.now})
		c := Condition(status, corev1.PodReady)
		if len(status.Conditions) != 1 || c.Status != step.value || c.LastTransitionTime != at(step.since) || c.ObservedGeneration != step.now {
			t.Errorf("at %d: %+v, want %s since %d", step.now, status.Conditions, step.value, step.since)
		}
		if IsReady(status) != (step.value == corev1.ConditionTrue) {
			t.Errorf("at %d: IsReady = %v", step.now, IsReady(status))
		}
	}
}
