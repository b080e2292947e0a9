package daemonset

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Between two turns of one DaemonSet lies a pause of restFactor times what the
// last one cost to decide, within bounds. So deciding takes at most one part in
// restFactor of a processor, however many events there are, while a single
// event after a quiet time is dealt with at once.
const (
	restFactor = 10
	minRest    = 2 * time.Millisecond
	maxRest    = 150 * time.Millisecond
)

// pacer gathers events into turns.
type pacer struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	keys map[types.NamespacedName]*pace
}

// pace is where one DaemonSet stands.
type pace struct {
	// running: it has its turn. again: something happened meanwhile.
	running, again bool
	// queued: a turn is asked for.
	queued    bool
	notBefore time.Time
}

func newPacer(c clock.PassiveClock) *pacer {
	return &pacer{clock: c, keys: map[types.NamespacedName]*pace{}}
}

func (p *pacer) of(key types.NamespacedName) *pace {
	k := p.keys[key]
	if k == nil {
		k = &pace{}
		p.keys[key] = k
	}
	return k
}

// ask returns when the next turn may be; false if one is sure to come anyway.
func (p *pacer) ask(key types.NamespacedName) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch k := p.of(key); {
	case k.running:
		k.again = true
	case !k.queued:
		k.queued = true
		return k.notBefore, true
	}
	return time.Time{}, false
}

// begin marks that a turn begins.
func (p *pacer) begin(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.of(key)
	k.running, k.queued = true, false
}

// end marks that a turn has ended, and returns when the next one may be if
// something happened meanwhile.
func (p *pacer) end(key types.NamespacedName, cost time.Duration) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.keys[key]
	if k == nil {
		return time.Time{}, false // gone
	}
	k.notBefore = p.clock.Now().Add(min(max(restFactor*cost, minRest), maxRest))
	k.queued = k.again
	k.running, k.again = false, false
	return k.notBefore, k.queued
}

// forget drops a DaemonSet that is gone.
func (p *pacer) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.keys[key]; k != nil && !k.again {
		delete(p.keys, key)
	}
}
