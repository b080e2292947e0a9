package daemonset

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
)

// patience is how long the caches may take to show a write before the API is
// asked whether they ever will.
const patience = 2 * time.Second

// ledger lists the writes that the caches have still to show. As long as there
// is one, what the caches show is the past, and a plan made of it would repeat
// or contradict what has been done.
type ledger struct {
	clock clock.PassiveClock
	open  []expectation
}

// expectation is one write that the caches have still to show.
type expectation struct {
	what  string
	asked time.Time
	// shown reports whether a cache shows the write, or anything later.
	shown func() bool
	// void asks the API whether the caches may never show it, because the
	// object has changed again or is gone.
	void func(context.Context) (bool, error)
}

func newLedger(c clock.PassiveClock) *ledger { return &ledger{clock: c} }

// expect adds a write.
func (l *ledger) expect(e expectation) {
	e.asked = l.clock.Now()
	l.open = append(l.open, e)
}

// behind reports whether a write is still to be shown: it returns when to ask
// again, and the zero time if all are. Events about the writes come earlier, as
// a rule.
func (l *ledger) behind(ctx context.Context, now time.Time) (time.Time, error) {
	kept := l.open[:0]
	for i := range l.open {
		if !l.open[i].shown() {
			kept = append(kept, l.open[i])
		}
	}
	clear(l.open[len(kept):])
	l.open = kept
	if len(l.open) == 0 {
		return time.Time{}, nil
	}
	first := &l.open[0]
	if due := first.asked.Add(patience); now.Before(due) {
		return due, nil
	}
	first.asked = now
	void, err := first.void(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask after %s: %w", first.what, err)
	}
	if void {
		l.open = l.open[1:]
		return now, nil
	}
	return now.Add(patience), nil
}

// atLeast reports whether one resource version is another or later. Versions
// that cannot be compared count as not.
func atLeast(version, other string) bool {
	order, err := resourceversion.CompareResourceVersion(version, other)
	return err == nil && order >= 0
}
