package loop

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// pausing is an informer that looks at its context only after a pause.
type pausing time.Duration

func (p pausing) RunWithContext(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(p))
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	for name, c := range map[string]struct {
		informer pausing
		latest   time.Duration
	}{
		"soon":                 {pausing(time.Second / 4), time.Second / 4},
		"pausing for a server": {pausing(time.Hour), time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				Watch(ctx, c.informer)
				if took := time.Since(began); took < time.Minute || took > time.Minute+c.latest {
					t.Errorf("it ended after %s, want a minute and at most %s", took, c.latest)
				}
				time.Sleep(time.Hour) // until the informer has noticed
			})
		})
	}
}
