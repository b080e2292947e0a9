package nodelife

import (
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/podstatus"
)

// evictionView is all that the eviction of one pod depends on. It is not
// modified.
type evictionView struct {
	Pod    *corev1.Pod
	Taints []corev1.Taint // of its node
	Since  time.Time      // when the pod was first seen under such taints
	Now    time.Time
}

// eviction is the verdict about one pod.
type eviction struct {
	Evict bool
	// At is when the pod's patience ends; zero: never, as things are.
	At time.Time
}

// evict says whether taints drive a pod from its node. Each taint is borne as
// long as the tolerations for it allow, counted from when both met.
func evict(v evictionView) eviction {
	if v.Pod.DeletionTimestamp != nil || podstatus.IsTerminal(v.Pod) {
		return eviction{}
	}
	var verdict eviction
	for i := range v.Taints {
		taint := &v.Taints[i]
		if taint.Effect != corev1.TaintEffectNoExecute {
			continue
		}
		patience, forever := patience(v.Pod, taint)
		if forever {
			continue
		}
		end := met(v, taint).Add(patience)
		if verdict.At.IsZero() || end.Before(verdict.At) {
			verdict.At = end
		}
	}
	if !verdict.At.IsZero() && !v.Now.Before(verdict.At) {
		return eviction{Evict: true}
	}
	return verdict
}

// patience returns how long a pod bears a taint: the shortest time that its
// tolerations of it name, or for ever if none names one. Zero: not at all.
func patience(pod *corev1.Pod, taint *corev1.Taint) (limit time.Duration, forever bool) {
	tolerated := false
	forever = true
	for _, t := range pod.Spec.Tolerations {
		if !t.ToleratesTaint(logr.Discard(), taint, true) {
			continue
		}
		tolerated = true
		if t.TolerationSeconds == nil {
			continue
		}
		seconds := time.Duration(max(0, *t.TolerationSeconds)) * time.Second
		if forever || seconds < limit {
			limit, forever = seconds, false
		}
	}
	return limit, tolerated && forever
}

// met returns when pod and taint came together: the later of the taint's
// appearance and the pod's arrival. Both are in the objects, so that a restart
// does not start the wait anew; where they are not, the first look counts.
func met(v evictionView, taint *corev1.Taint) time.Time {
	start := v.Since
	if taint.TimeAdded != nil {
		start = taint.TimeAdded.Time
	}
	c := podstatus.Condition(&v.Pod.Status, corev1.PodScheduled)
	if c != nil && c.Status == corev1.ConditionTrue && c.LastTransitionTime.After(start) {
		start = c.LastTransitionTime.Time
	}
	return start
}
