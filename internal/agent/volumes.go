package agent

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// Volumes that cannot be set up are tried again with these pauses.
const (
	firstVolumePause = 500 * time.Millisecond
	maxVolumePause   = 2 * time.Minute
)

// volumes is how far the volumes of a pod are.
type volumes struct {
	// ready: they were set up once. begun: they were tried.
	ready, begun bool
	// stop ends the setting up that is under way, nil if none is.
	stop context.CancelFunc
	// stale: they are to be set up again, whatever next says.
	stale bool
	// next is when they are set up again; zero is never.
	next     time.Time
	failures int
	// down: they were torn down.
	down bool
}

// due tells whether volumes are to be set up now.
func (v *volumes) due(now time.Time) bool {
	if v.stop != nil || v.down {
		return false
	}
	return !v.begun || v.stale || !v.next.IsZero() && !now.Before(v.next)
}

// keepVolumes sees to the volumes of a pod that is to run, beside the step. It
// returns when that is to be done again.
func (a *Agent) keepVolumes(p *pod, object *corev1.Pod) time.Time {
	if p.deletion() != nil || p.failing(object) != nil || ended(object) {
		return time.Time{}
	}
	if a.Objects != nil && p.source == fromAPI {
		a.Objects.Hold(object)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.volumes.due(a.Clock.Now()) {
		if p.volumes.stop != nil {
			return time.Time{}
		}
		return p.volumes.next
	}
	ctx, stop := context.WithCancel(a.life)
	p.volumes.begun, p.volumes.stale, p.volumes.stop = true, false, stop
	a.work.Go(func() {
		defer stop()
		var next time.Time
		err := safely(ctx, func() (err error) {
			next, err = a.Volumes.SetUp(ctx, object)
			return err
		})
		a.volumesSetUp(ctx, p, next, err)
	})
	return time.Time{}
}

// ended tells whether the API says that a pod has ended.
func ended(object *corev1.Pod) bool {
	return object.Status.Phase == corev1.PodSucceeded || object.Status.Phase == corev1.PodFailed
}

// volumesSetUp takes in how setting up ended.
func (a *Agent) volumesSetUp(ctx context.Context, p *pod, next time.Time, err error) {
	failed := err != nil && ctx.Err() == nil
	p.mu.Lock()
	v := &p.volumes
	v.stop = nil
	switch {
	case err == nil:
		v.ready, v.next, v.failures = true, next, 0
	case failed:
		pause := maxVolumePause
		if v.failures < 8 {
			pause = min(firstVolumePause<<v.failures, maxVolumePause)
		}
		v.failures++
		v.next = a.Clock.Now().Add(pause)
	}
	p.mu.Unlock()
	if failed {
		klog.FromContext(ctx).V(2).Info("Volumes cannot be set up, will be tried again", "pod", klog.KObj(p.current()), "reason", err)
		for _, each := range split(err) {
			a.tell(p.current(), "", warning("FailedMount", each.Error()))
		}
	}
	a.steps.Add(p.uid)
}

// refreshVolumes has the volumes of a pod brought up to date by its next step.
func (p *pod) refreshVolumes() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.volumes.stale = true
}

// tearDown removes the volumes of a pod that has ended, again if it is for good. It
// reports whether they are gone; if not, there will be another step.
func (a *Agent) tearDown(ctx context.Context, p *pod, forGood bool) (bool, error) {
	p.mu.Lock()
	stop, down := p.volumes.stop, p.volumes.down
	p.mu.Unlock()
	if stop != nil {
		stop()
		return false, nil
	}
	if down && !forGood {
		return true, nil
	}
	if err := a.Volumes.TearDown(ctx, p.uid, forGood); err != nil {
		return false, fmt.Errorf("tear down the volumes of pod %s: %w", p.name(), err)
	}
	p.mu.Lock()
	p.volumes.down, p.volumes.ready = true, false
	p.mu.Unlock()
	return true, nil
}

// split gives the errors that were joined into one.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
