package daemonset

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

// A single event after a quiet time is dealt with at once; while turns are
// expensive and events many, turns come at a pace that their cost dictates.
func TestPacer(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	clock := clocktesting.NewFakePassiveClock(start)
	p := newPacer(clock)
	key := types.NamespacedName{Namespace: "ns", Name: "ds"}
	ask := func(want time.Duration, wantDue bool) {
		t.Helper()
		at, due := p.ask(key)
		if due != wantDue || due && at.After(clock.Now()) != (want > 0) || want > 0 && !at.Equal(clock.Now().Add(want)) {
			t.Fatalf("ask: in %s, due %t; want in %s, due %t", at.Sub(clock.Now()), due, want, wantDue)
		}
	}
	turn := func(cost, want time.Duration, events bool) {
		t.Helper()
		p.begin(key)
		if events {
			ask(0, false)
			ask(0, false)
		}
		at, again := p.end(key, cost)
		if again != events || !at.Equal(clock.Now().Add(want)) {
			t.Fatalf("end: in %s, again %t; want in %s, again %t", at.Sub(clock.Now()), again, want, events)
		}
	}
	ask(0, true)
	ask(0, false)
	turn(time.Millisecond, 10*time.Millisecond, true)
	ask(0, false) // a turn is booked
	turn(time.Millisecond, 10*time.Millisecond, false)
	ask(10*time.Millisecond, true)
	turn(0, minRest, false)
	turn(time.Second, maxRest, false)
	clock.SetTime(clock.Now().Add(maxRest))
	ask(0, true)

	p.begin(key)
	p.forget(key)
	if _, again := p.end(key, time.Millisecond); again || len(p.keys) != 0 {
		t.Fatalf("a DaemonSet that is gone is kept: %v", p.keys)
	}
}

// Nodes may join at any time and are to have their pod within 250 ms, so the
// longest pause leaves time to create, bind and start it.
func TestLongestPause(t *testing.T) {
	if maxRest > 150*time.Millisecond {
		t.Errorf("the longest pause is %s", maxRest)
	}
}
