package simruntime

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// watch is one caller of Watch. Changed pods are gathered while it is busy.
type watch struct {
	changed map[types.UID]struct{}
	wake    chan struct{} // holds one
}

// Watch implements agent.Runtime.
func (r *Runtime) Watch(ctx context.Context, changed func(types.UID)) error {
	w := &watch{changed: map[types.UID]struct{}{"": {}}, wake: make(chan struct{}, 1)}
	w.wake <- struct{}{}
	r.mu.Lock()
	r.watches[w] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.watches, w)
		r.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		r.mu.Lock()
		pods := slices.Sorted(maps.Keys(w.changed))
		clear(w.changed)
		r.mu.Unlock()
		for _, uid := range pods {
			changed(uid)
		}
	}
}

// tell lets all who watch know; it is called with the lock held.
func (r *Runtime) tell(uid types.UID) {
	for w := range r.watches {
		w.changed[uid] = struct{}{}
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}
