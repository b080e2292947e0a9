// Package loop runs a Step function as a controller: it hands out keys to
// workers, asks again at the time a step named, retries failed steps with
// growing pauses, and survives a step that panics. Watch runs the informers that
// wake it.
//
// What a step looks at and does is left to the package that owns it, and so is
// deciding which event concerns which key.
package loop

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Step takes one turn for a key and returns when it wants to be asked again;
// the zero time means that only an event can change its mind.
type Step[K comparable] func(ctx context.Context, key K) (time.Time, error)

// Options configure a Loop. Name, Workers and Step are required.
type Options[K comparable] struct {
	Name    string // of the loop, in log lines
	Workers int    // steps under way at once, each for another key
	Step    Step[K]
	Clock   clock.WithTicker // default: the system's
	// MinPause and MaxPause bound the pause before a failed step is retried;
	// it doubles from failure to failure. Defaults: 5 ms and 30 s.
	MinPause, MaxPause time.Duration
}

// Loop is a queue of keys with workers. Keys may be added before Run.
type Loop[K comparable] struct {
	options Options[K]
	queue   workqueue.TypedRateLimitingInterface[K]

	mu sync.Mutex
	// begun are the steps under way, with the times at which they were begun.
	begun map[K]time.Time
}

// New returns a loop that waits for Run.
func New[K comparable](options Options[K]) *Loop[K] {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.MinPause == 0 {
		options.MinPause = 5 * time.Millisecond
	}
	if options.MaxPause == 0 {
		options.MaxPause = 30 * time.Second
	}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[K](options.MinPause, options.MaxPause)
	return &Loop[K]{
		options: options,
		begun:   map[K]time.Time{},
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(limiter,
			workqueue.TypedRateLimitingQueueConfig[K]{Clock: options.Clock}),
	}
}

// Add asks for a step for key soon. A key that waits already waits once.
func (l *Loop[K]) Add(key K) { l.queue.Add(key) }

// AddAt asks for a step for key at a point in time.
func (l *Loop[K]) AddAt(key K, at time.Time) {
	l.queue.AddAfter(key, at.Sub(l.options.Clock.Now()))
}

// Len returns the number of keys that wait for a worker now.
func (l *Loop[K]) Len() int { return l.queue.Len() }

// Longest tells how long the step has been under way that was begun first, 0 if
// there is none. Steps are short: one that is not has lost its way, and holds up
// its key or, in numbers, all keys.
func (l *Loop[K]) Longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var longest time.Duration
	for _, at := range l.begun {
		longest = max(longest, l.options.Clock.Since(at))
	}
	return longest
}

// Run takes steps until ctx is done, and returns when the last one has ended.
func (l *Loop[K]) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range l.options.Workers {
		workers.Go(func() { l.work(ctx) })
	}
	<-ctx.Done()
	l.queue.ShutDown()
	workers.Wait()
}

func (l *Loop[K]) work(ctx context.Context) {
	for {
		key, shutdown := l.queue.Get()
		if shutdown {
			return
		}
		l.turn(ctx, key)
		l.queue.Done(key)
	}
}

// turn takes one step and books what it asked for. After the end of ctx the
// remaining keys are drained without a step.
func (l *Loop[K]) turn(ctx context.Context, key K) {
	if ctx.Err() != nil {
		return
	}
	wake, err := l.guarded(ctx, key)
	switch {
	case err == nil:
		l.queue.Forget(key)
		if !wake.IsZero() {
			l.AddAt(key, wake)
		}
	case ctx.Err() != nil:
	default:
		l.report(ctx, key, err)
		l.queue.AddRateLimited(key)
	}
}

// report logs a failed step: a conflict only says that the cache was behind,
// which mends itself.
func (l *Loop[K]) report(ctx context.Context, key K, err error) {
	log := klog.FromContext(ctx)
	if apierrors.IsConflict(err) {
		log.V(4).Info("Step will be repeated", "loop", l.options.Name, "key", key, "reason", err.Error())
		return
	}
	log.Error(err, "Step failed, will be repeated", "loop", l.options.Name, "key", key)
}

func (l *Loop[K]) guarded(ctx context.Context, key K) (wake time.Time, err error) {
	l.mu.Lock()
	l.begun[key] = l.options.Clock.Now()
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.begun, key)
		l.mu.Unlock()
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return l.options.Step(ctx, key)
}
