package probe

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// kind is one of the three kinds of probes.
type kind int

const (
	startup kind = iota
	liveness
	readiness
)

var kinds = []kind{startup, liveness, readiness}

// String is the name that events use.
func (k kind) String() string { return [...]string{"Startup", "Liveness", "Readiness"}[k] }

func (k kind) spec(container *corev1.Container) *corev1.Probe {
	return [...]*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe}[k]
}

// watch is one attempt of a container under its probes.
type watch struct {
	prober *Prober
	pod    *corev1.Pod

	ctx context.Context
	end context.CancelFunc
	// living ends startup and liveness probes, which have no use once the pod is
	// on its way out; readiness goes on until ctx ends.
	living context.Context
	quiet  context.CancelFunc
	// started is closed once the startup probe has succeeded, or if there is none.
	started chan struct{}

	mu      sync.Mutex
	target  agent.ProbeTarget
	tallies [3]tally // by kind
}

func newWatch(p *Prober, pod *corev1.Pod, target agent.ProbeTarget) *watch {
	w := &watch{prober: p, pod: pod, target: target, started: make(chan struct{})}
	w.ctx, w.end = context.WithCancel(p.all)
	w.living, w.quiet = context.WithCancel(w.ctx)
	for k, known := range map[kind]podstep.Result{
		startup: target.Known.Startup, liveness: target.Known.Liveness, readiness: target.Known.Readiness,
	} {
		w.tallies[k].result = known
	}
	if target.Spec.StartupProbe == nil || target.Known.Startup == podstep.Success {
		close(w.started)
	}
	return w
}

// sync takes in what is now known of the container, and gives the results.
func (w *watch) sync(target agent.ProbeTarget) podstep.ProbeResult {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = target
	if target.Ending {
		w.quiet()
	}
	return podstep.ProbeResult{
		Container: target.Spec.Name,
		Attempt:   target.Attempt,
		Startup:   w.tallies[startup].result,
		Liveness:  w.tallies[liveness].result,
		Readiness: w.tallies[readiness].result,
	}
}

func (w *watch) current() agent.ProbeTarget {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.target
}

// run probes until the container ends, or its fate is decided: a startup probe
// by either result, a liveness probe by failure.
func (w *watch) run(k kind, spec *corev1.Probe) {
	ctx := w.living
	if k == readiness {
		ctx = w.ctx
	}
	target, period := w.current(), seconds(spec.PeriodSeconds)
	if k == startup && target.Known.Startup != podstep.Pending || k == liveness && target.Known.Liveness == podstep.Failed {
		return
	}
	if k != startup {
		select {
		case <-ctx.Done():
			return
		case <-w.started:
		}
	}
	first := time.NewTimer(max(initialDelay(target, spec), w.prober.stagger(target.Started, period)))
	defer first.Stop()
	select {
	case <-ctx.Done():
		return
	case <-first.C:
	}
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for w.probe(ctx, k, spec) {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// initialDelay is what is left of a probe's, never more than all of it: the clock may
// have been set back since the container was started.
func initialDelay(target agent.ProbeTarget, spec *corev1.Probe) time.Duration {
	whole := seconds(spec.InitialDelaySeconds)
	return min(time.Until(target.Started.Add(whole)), whole)
}

// probe probes once, and says whether to go on.
func (w *watch) probe(ctx context.Context, k kind, spec *corev1.Probe) bool {
	began := time.Now()
	a, err := w.askPatiently(ctx, spec)
	if ctx.Err() != nil {
		return false // the container went away under the probe
	}
	w.prober.measures.count(probed{k, w.pod, w.current().Spec.Name}, time.Since(began), a, err)
	w.report(ctx, k, a, err)
	if err != nil {
		return true
	}
	w.mu.Lock()
	changed := w.tallies[k].count(spec, a.grade != failure)
	result := w.tallies[k].result
	w.mu.Unlock()
	if !changed {
		return true
	}
	if k == startup && result == podstep.Success {
		close(w.started)
	}
	w.prober.Wake(w.pod.UID)
	return k == readiness || k == liveness && result == podstep.Success
}

// tries is how often a probe is tried that does not come about.
const tries = 3

func (w *watch) askPatiently(ctx context.Context, spec *corev1.Probe) (a answer, err error) {
	for range tries {
		if a, err = w.askSafely(ctx, spec); err == nil || ctx.Err() != nil {
			break
		}
	}
	return a, err
}

// askSafely makes an error of a panic, lest one probe ends the agent.
func (w *watch) askSafely(ctx context.Context, spec *corev1.Probe) (a answer, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
			klog.FromContext(ctx).Error(err, "A probe panicked", "pod", klog.KObj(w.pod), "stack", string(debug.Stack()))
		}
	}()
	return w.prober.ask(ctx, spec, w.current())
}

// report writes the event of a probe that did not simply succeed.
func (w *watch) report(ctx context.Context, k kind, a answer, err error) {
	event := func(reason, format string, args ...any) {
		w.prober.Recorder.Eventf(containerReference(w.pod, w.current().Spec.Name), corev1.EventTypeWarning, reason, format, args...)
	}
	switch {
	case err != nil:
		event("Unhealthy", "%s probe errored and resulted in unknown state: %v", k, err)
	case a.grade == warning:
		event("ProbeWarning", "%s probe warning: %s", k, a.text)
	case a.grade == failure:
		event("Unhealthy", "%s probe failed: %s", k, a.text)
	}
	klog.FromContext(ctx).V(4).Info("Probed", "pod", klog.KObj(w.pod), "container", w.current().Spec.Name, "probe", k, "failed", a.grade == failure, "err", err)
}
