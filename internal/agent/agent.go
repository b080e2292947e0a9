package agent

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/loop"
)

// Workers per kind of work. Steps wait for nothing but short calls to the runtime;
// reports wait for the API, and must not hold up steps when it is away.
const (
	stepWorkers   = 8
	reportWorkers = 16
	mirrorWorkers = 1
)

// maxReportPause bounds how long what has happened while the API was away goes
// unreported once it is back.
const maxReportPause = 5 * time.Second

// Agent runs the pods of one machine.
type Agent struct {
	Options
	roster   roster
	sight    *sight
	measures *measures
	steps    *loop.Loop[types.UID]
	reports  *loop.Loop[types.UID]
	mirrors  *loop.Loop[types.NamespacedName]
	// prepulls fetch images for pods to come.
	prepulls *prepulls
	synced   cache.DoneChecker
	// scheme is how IDs of containers are prefixed.
	scheme string
	// sysctls are those that pods may set.
	sysctls sysctls

	// life is that of operations, which work counts.
	life context.Context
	work sync.WaitGroup

	mu sync.Mutex
	// complete: all who ask for pods have been heard, so that what nobody asks
	// for is to end.
	complete bool
	// admission is held while it is decided whether a pod may start.
	admission sync.Mutex
}

// New returns an agent that waits for Run.
func New(options Options) (*Agent, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	allowed, err := parseSysctls(options.Settings.AllowedUnsafeSysctls)
	if err != nil {
		return nil, err
	}
	options.Writer = &courier{writer: options.Writer}
	a := &Agent{Options: options, roster: roster{pods: map[types.UID]*pod{}}, scheme: options.Settings.Runtime, sysctls: allowed}
	a.sight = newSight(a.Runtime, a.Clock, a.holdingChanged)
	a.measures = newMeasures(a)
	a.sight.took = func(d time.Duration) { a.measures.looks.Observe(d.Seconds()) }
	a.steps = loop.New(loop.Options[types.UID]{Name: "pods", Workers: stepWorkers, Step: a.Step, Clock: a.Clock})
	a.reports = loop.New(loop.Options[types.UID]{Name: "pod statuses", Workers: reportWorkers, Step: a.StepReport, Clock: a.Clock, MaxPause: maxReportPause})
	a.mirrors = loop.New(loop.Options[types.NamespacedName]{Name: "mirror pods", Workers: mirrorWorkers, Step: a.StepMirror, Clock: a.Clock})
	a.prepulls = newPrepulls(a)
	registration, err := a.Pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { a.podSeen(nil, object.(*corev1.Pod)) },
		UpdateFunc: func(old, object any) { a.podSeen(old.(*corev1.Pod), object.(*corev1.Pod)) },
		DeleteFunc: a.podDeleted,
	})
	if err != nil {
		return nil, fmt.Errorf("watch the pods of node %s: %w", a.Settings.NodeName, err)
	}
	a.synced = registration.HasSyncedChecker()
	return a, nil
}

// Run runs pods until ctx is done. The containers stay as they are then.
func (a *Agent) Run(ctx context.Context) {
	a.life = ctx
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { a.sight.run(ctx) })
	parts.Go(func() { a.watchRuntime(ctx) })
	if a.Static != nil {
		parts.Go(func() { a.Static.Watch(ctx, a.staticChanged) })
	}
	if !a.begin(ctx) {
		return
	}
	parts.Go(func() { a.sweepVolumes(ctx) })
	parts.Go(func() { a.reports.Run(ctx) })
	parts.Go(func() { a.mirrors.Run(ctx) })
	parts.Go(func() { a.prepulls.loop.Run(ctx) })
	a.steps.Run(ctx)
	a.work.Wait()
}

// begin waits until all is known that must be known before the first step: the
// pods that are asked for, the node, and what the runtime holds.
func (a *Agent) begin(ctx context.Context) bool {
	if !cache.WaitFor(ctx, "", a.synced) {
		return false
	}
	known := func() bool {
		if a.Node() == nil {
			return false
		}
		if a.Static == nil {
			return true
		}
		_, read := a.Static.Pods()
		return read
	}
	for !known() {
		select {
		case <-ctx.Done():
			return false
		case <-a.Clock.After(100 * time.Millisecond):
		}
	}
	if err := a.sight.refresh(ctx); err != nil {
		return false
	}
	a.nameRuntime(ctx)
	a.adopt()
	a.mu.Lock()
	a.complete = true
	a.mu.Unlock()
	a.staticChanged()
	for _, h := range a.sight.all() {
		a.holdingChanged(h.Pod.UID)
	}
	return true
}

// nameRuntime finds out how the runtime calls itself.
func (a *Agent) nameRuntime(ctx context.Context) {
	if a.scheme != "" {
		return
	}
	condition, err := a.Runtime.Condition(ctx)
	if err != nil {
		klog.FromContext(ctx).Error(err, "The container runtime does not tell its name")
	}
	if a.scheme = condition.Name; a.scheme == "" {
		a.scheme = "containerd"
	}
}

// watchRuntime listens to the runtime, and does so again when that ends.
func (a *Agent) watchRuntime(ctx context.Context) {
	for ctx.Err() == nil {
		err := safely(ctx, func() error { return a.Runtime.Watch(ctx, func(types.UID) { a.sight.ask() }) })
		if ctx.Err() != nil {
			return
		}
		klog.FromContext(ctx).V(2).Info("Listening to the container runtime again", "reason", err)
		select {
		case <-ctx.Done():
		case <-a.Clock.After(lookPause):
		}
	}
}

// Wake asks for a step of a pod soon: a probe has a new result.
func (a *Agent) Wake(uid types.UID) { a.steps.Add(uid) }

// ImagesChanged has all pods look for their images again: some were brought by
// other means than pulling.
func (a *Agent) ImagesChanged() {
	for _, p := range a.roster.list() {
		a.steps.Add(p.uid)
	}
}

// ObjectsChanged has the volumes of a pod brought up to date: an object that it
// names has changed.
func (a *Agent) ObjectsChanged(uid types.UID) {
	p := a.roster.get(uid)
	if p == nil {
		return
	}
	p.refreshVolumes()
	a.steps.Add(uid)
}

// sameLabels tells whether volumes that show a pod's labels and annotations show
// the same for both.
func sameLabels(a, b *corev1.Pod) bool {
	return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

// podSeen takes in a pod of the API.
func (a *Agent) podSeen(old, object *corev1.Pod) {
	if old != nil && old.UID != object.UID {
		a.podDeleted(old)
	}
	if isMirror(object) {
		a.mirrorChanged(object)
		return
	}
	if p := a.roster.put(object, fromAPI); p != nil {
		if old != nil && !sameLabels(old, object) {
			p.refreshVolumes()
		}
		a.steps.Add(object.UID)
		a.prepulls.seen(object)
	}
}

// podDeleted takes in that the API does not have a pod any more.
func (a *Agent) podDeleted(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	last, ok := object.(*corev1.Pod)
	switch {
	case !ok:
	case isMirror(last):
		a.mirrorChanged(last)
	default:
		a.roster.leave(last.UID, last)
		a.steps.Add(last.UID)
	}
}

// holdingChanged takes in that the runtime holds something else of a pod.
func (a *Agent) holdingChanged(uid types.UID) {
	a.mu.Lock()
	complete := a.complete
	a.mu.Unlock()
	if h := a.sight.holding(uid); complete && h.Pod.UID == uid && a.roster.orphan(h.Pod) {
		klog.Background().Info("Ending a pod that nobody asks for", "pod", klog.KRef(h.Pod.Namespace, h.Pod.Name), "podUID", uid)
	}
	a.steps.Add(uid)
}

// sweepInterval is how often files of pods that are gone are looked for.
const sweepInterval = 2 * time.Minute

// sweepVolumes ends pods of which only files are left.
func (a *Agent) sweepVolumes(ctx context.Context) {
	for {
		uids, err := a.Volumes.List()
		if err != nil {
			klog.FromContext(ctx).Error(err, "Volumes of pods that are gone cannot be looked for")
		}
		for _, uid := range uids {
			if a.roster.orphan(PodName{UID: uid}) {
				a.steps.Add(uid)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-a.Clock.After(sweepInterval):
		}
	}
}
