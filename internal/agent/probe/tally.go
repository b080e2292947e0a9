package probe

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// tally counts the answers of one probe.
type tally struct {
	// run is how often in a row the answer was last.
	run  int32
	last bool
	// result stays what it is until a threshold is reached.
	result podstep.Result
}

// count takes one answer in, and says whether the result has changed.
func (t *tally) count(spec *corev1.Probe, success bool) (changed bool) {
	if t.last != success {
		t.run = 0
	}
	t.last = success
	t.run++
	before := t.result
	switch {
	case success && t.run >= spec.SuccessThreshold:
		t.result = podstep.Success
	case !success && t.run >= spec.FailureThreshold:
		t.result = podstep.Failed
	}
	return t.result != before
}

// complete gives a probe the values that the API would. A static pod's may lack
// them.
func complete(spec *corev1.Probe) *corev1.Probe {
	out := spec.DeepCopy()
	for _, field := range []struct {
		value *int32
		usual int32
	}{{&out.PeriodSeconds, 10}, {&out.TimeoutSeconds, 1}, {&out.SuccessThreshold, 1}, {&out.FailureThreshold, 3}} {
		if *field.value <= 0 {
			*field.value = field.usual
		}
	}
	return out
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }
