package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestGarbageLimit(t *testing.T) {
	for _, c := range []struct {
		live uint64
		ago  time.Duration
		want int
	}{
		{0, 0, garbage},
		{40 << 20, time.Minute, garbage}, // at rest
		{40 << 20, time.Second, busyGarbage},
		{roomyHeap / 3, time.Second, busyGarbage},
		{roomyHeap / 2, time.Second, 100},
		{roomyHeap / 2, busy, garbage},
		{roomyHeap, time.Second, garbage}, // never less
		{4 * roomyHeap, time.Second, garbage},
	} {
		if got := garbageLimit(c.live, c.ago); got != c.want {
			t.Errorf("%d MB live, collected %v ago: %d %%, want %d %%", c.live>>20, c.ago, got, c.want)
		}
	}
}

// The limit rises while collections follow each other, and falls again.
func TestGarbageIsTuned(t *testing.T) {
	t.Cleanup(func() { debug.SetGCPercent(100) })
	tuneGarbage()
	limit := func() uint64 {
		now := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(now)
		return now[0].Value.Uint64()
	}
	deadline := time.Now().Add(time.Minute)
	for limit() != busyGarbage {
		if time.Now().After(deadline) {
			t.Fatalf("the limit is %d %% after many collections", limit())
		}
		runtime.GC()
	}
	for limit() != garbage {
		if time.Now().After(deadline) {
			t.Fatalf("the limit is still %d %% after a pause", limit())
		}
		time.Sleep(busy) // in which nothing is collected
		runtime.GC()
		for wait := 100; limit() != garbage && wait > 0; wait-- {
			time.Sleep(10 * time.Millisecond)
		}
	}
}
