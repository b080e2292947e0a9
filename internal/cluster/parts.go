package cluster

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
)

// part is something that runs until its context is done.
type part struct {
	name string
	run  func(context.Context)
}

// parts owns the goroutines of several parts that run and end together.
type parts struct {
	cancel context.CancelFunc
	ended  chan struct{} // closed when the last one has ended

	mu      sync.Mutex
	running []string // names, in the order of starting
	err     error    // why the first one ended before it was asked to
	failed  chan struct{}
}

// startParts starts every part. If one ends by itself, by a panic or by
// returning early, failed is closed: the others must not go on as if it still
// did its work.
func startParts(ctx context.Context, all []part) *parts {
	ctx, cancel := context.WithCancel(ctx)
	p := &parts{cancel: cancel, ended: make(chan struct{}), failed: make(chan struct{})}
	var wg sync.WaitGroup
	for _, one := range all {
		p.running = append(p.running, one.name)
	}
	for _, one := range all {
		wg.Go(func() { p.keep(ctx, one) })
	}
	go func() {
		wg.Wait()
		close(p.ended)
	}()
	return p
}

// keep runs one part and books its end.
func (p *parts) keep(ctx context.Context, one part) {
	err := guarded(ctx, one)
	if err == nil && ctx.Err() == nil {
		err = fmt.Errorf("%s ended by itself", one.name)
	}
	if err != nil {
		p.fail(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = slices.DeleteFunc(p.running, func(name string) bool { return name == one.name })
}

// fail books the first failure.
func (p *parts) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		close(p.failed)
	}
}

func guarded(ctx context.Context, one part) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%s: panic: %v\n%s", one.name, cause, debug.Stack())
		}
	}()
	one.run(ctx)
	return nil
}

// stop asks every part to end and waits for them, at most until ctx is done. It
// returns why a part had failed before, or which ones did not end.
func (p *parts) stop(ctx context.Context) error {
	p.cancel()
	select {
	case <-p.ended:
		return p.failure()
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		return fmt.Errorf("still running: %s", strings.Join(p.running, ", "))
	}
}

// failure returns why a part ended by itself, nil if none has.
func (p *parts) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
