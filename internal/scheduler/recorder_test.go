package scheduler

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	testingclock "k8s.io/utils/clock/testing"
)

// What every pod's status says as well is said of some pods only when there are many;
// what is out of the ordinary is always said.
func TestRoutineEventsAreBounded(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Unix(1_000_000, 0))
	r := newRecorder(nil, clock, reporter{})
	pod := &corev1.Pod{}
	record := func(n int, note note) int {
		for range n {
			r.record(pod, note)
		}
		written := len(r.pending)
		for len(r.pending) > 0 {
			<-r.pending
		}
		return written
	}
	routine, warning := scheduledOn(pod, "a"), note{kind: corev1.EventTypeWarning, reason: "FailedScheduling"}
	if got := record(3*routineBurst, routine); got != routineBurst {
		t.Errorf("%d events at once, want %d", got, routineBurst)
	}
	if got := record(routineBurst, warning); got != routineBurst {
		t.Errorf("%d of %d warnings", got, routineBurst)
	}
	clock.Step(time.Second)
	if got := record(routineBurst, routine); got != routineRate {
		t.Errorf("%d events a second later, want %d", got, routineRate)
	}
}
