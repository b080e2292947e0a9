package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage a process may gather before it is collected, in per cent of what
// lives (docs/design/performance.md has what each costs).
const (
	// agentGarbage is for an agent, which is to be small.
	agentGarbage = 50
	// garbage is for a server at rest, and for a large one. Go's default is 100.
	garbage = 75
	// busyGarbage is for a server that collects all the time, as far as its heap
	// stays below roomyHeap bytes.
	busyGarbage = 200
	roomyHeap   = 500 << 20
	// busy is the pause between two collections below which a server is busy.
	busy = 2 * time.Second
)

// tuneGarbage trades memory for processor time while a server is busy: what
// collections cost depends on how much gathers between them, and nothing so much as a
// rollout makes garbage.
func tuneGarbage() {
	debug.SetGCPercent(garbage)
	set, last := garbage, time.Now()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var watch func()
	watch = func() {
		metrics.Read(live)
		if limit := garbageLimit(live[0].Value.Uint64(), time.Since(last)); limit != set {
			debug.SetGCPercent(limit)
			set = limit
		}
		last = time.Now()
		afterCollection(watch)
	}
	afterCollection(watch)
}

// afterCollection calls f once, when the next collection is over.
func afterCollection(f func()) {
	type sentinel struct{ _ *byte } // a pointer: else it might share its memory
	runtime.AddCleanup(&sentinel{}, func(struct{}) { f() }, struct{}{})
}

// garbageLimit is the percentage for a heap of which so many bytes live, and that was
// collected so long ago.
func garbageLimit(live uint64, ago time.Duration) int {
	if ago >= busy || live == 0 {
		return garbage
	}
	const step = 5 // to set a new one stops the world for a moment
	room := (float64(roomyHeap)/float64(live) - 1) * 100
	return int(min(max(room, garbage), busyGarbage)) / step * step
}
