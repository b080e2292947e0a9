package serving

import (
	"net/http"
	"sync"
	"time"
)

// gate counts the requests that are being served, and closes.
type gate struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

func (g *gate) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.enter() {
			http.Error(w, "the agent is ending", http.StatusServiceUnavailable)
			return
		}
		defer g.inside.Done()
		next.ServeHTTP(w, r)
	})
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside.Add(1)
	return true
}

// drain lets nobody in any more and returns when all are out. It urges them until
// then: who is dialling has nothing yet that could be closed.
func (g *gate) drain(urge func()) {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	out := make(chan struct{})
	go func() {
		g.inside.Wait()
		close(out)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		urge()
		select {
		case <-out:
			return
		case <-tick.C:
		}
	}
}
