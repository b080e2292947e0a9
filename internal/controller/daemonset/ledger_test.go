package daemonset

import (
	"context"
	"errors"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// The ledger asks the caches every time, and the API only when patience ends.
func TestLedger(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	clock := clocktesting.NewFakePassiveClock(start)
	l := newLedger(clock)
	var shown, void bool
	var failure error
	asked := 0
	l.expect(expectation{
		what:  "pod a",
		shown: func() bool { return shown },
		void:  func(context.Context) (bool, error) { asked++; return void, failure },
	})
	behind := func(at time.Duration, want time.Duration, calls int) {
		t.Helper()
		wake, err := l.behind(t.Context(), start.Add(at))
		if err != nil || !wake.Equal(start.Add(want)) || asked != calls {
			t.Fatalf("after %s: wake %s, %d calls, error %v; want wake in %s and %d calls", at, wake, asked, err, want, calls)
		}
	}
	behind(0, patience, 0)
	behind(patience-1, patience, 0)
	behind(patience, 2*patience, 1)
	behind(patience+1, 2*patience, 1)
	failure = errors.New("no route")
	if _, err := l.behind(t.Context(), start.Add(2*patience)); !errors.Is(err, failure) {
		t.Fatalf("error %v", err)
	}
	failure, void = nil, true
	behind(3*patience, 3*patience, 3)
	if wake, err := l.behind(t.Context(), start.Add(3*patience)); err != nil || !wake.IsZero() {
		t.Fatalf("a void expectation stays: wake %s, error %v", wake, err)
	}
	l.expect(expectation{shown: func() bool { return shown }})
	shown = true
	if wake, err := l.behind(t.Context(), start); err != nil || !wake.IsZero() {
		t.Fatalf("what is shown stays: wake %s, error %v", wake, err)
	}
}

func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"5", "5", true}, {"10", "9", true}, {"9", "10", false}, {"", "1", false}, {"x", "1", false},
	} {
		if got := atLeast(c.a, c.b); got != c.want {
			t.Errorf("atLeast(%q, %q) = %t", c.a, c.b, got)
		}
	}
}
