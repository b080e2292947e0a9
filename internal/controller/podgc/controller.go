// Package podgc removes pods that nobody else will: those whose node is gone,
// those that were to end before they were bound, those on a node that was
// declared out of service, and finished ones in excess.
//
// Pods that have lost their owner are left to ownergc, and the pods of a node
// that is merely silent to nodelife.
package podgc

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/cacheindex"
	"github.com/garrison-project/garrison/internal/loop"
	"github.com/garrison-project/garrison/internal/podstatus"
)

// Writer makes the controller's writes.
type Writer interface {
	UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	DeletePod(ctx context.Context, name types.NamespacedName, options metav1.DeleteOptions) error
}

// Options are what a Controller needs. Client, Informers and Writer are
// required.
type Options struct {
	Client    kubernetes.Interface // asked whether a node really is gone
	Informers informers.SharedInformerFactory
	Writer    Writer
	Clock     clock.WithTicker // default: the system's
	// Period between two looks at all pods, for what events do not tell;
	// default 20 s.
	Period time.Duration
	// Quarantine is how long a node must have been missing before its pods
	// go; default 40 s.
	Quarantine time.Duration
	// FinishedPods is how many pods may stay that have succeeded or failed;
	// default 12500.
	FinishedPods int
}

// workers is how many pods are dealt with at once.
const workers = 16

// Controller removes pods.
type Controller struct {
	Options
	pods   cache.Indexer
	podsOf corelisters.PodLister
	nodes  corelisters.NodeLister
	loop   *loop.Loop[types.NamespacedName]
	synced []cache.InformerSynced

	mu sync.Mutex
	// missing says since when there has been no node of a name that pods
	// are bound to.
	missing map[string]time.Time
}

// New prepares a controller; the informers may be started afterwards.
func New(options Options) (*Controller, error) {
	options = withDefaults(options)
	pods, nodes := options.Informers.Core().V1().Pods(), options.Informers.Core().V1().Nodes()
	c := &Controller{
		Options: options,
		pods:    pods.Informer().GetIndexer(),
		podsOf:  pods.Lister(),
		nodes:   nodes.Lister(),
		missing: map[string]time.Time{},
	}
	c.loop = loop.New(loop.Options[types.NamespacedName]{Name: "pod garbage collector", Workers: workers, Step: c.Step, Clock: options.Clock})
	if err := cacheindex.AddPodsByNode(pods.Informer()); err != nil {
		return nil, err
	}
	for _, source := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandlerFuncs
	}{
		{pods.Informer(), cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { c.consider(obj.(*corev1.Pod)) },
			UpdateFunc: func(_, obj any) { c.consider(obj.(*corev1.Pod)) },
		}},
		{nodes.Informer(), cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { c.nodeChanged(obj.(*corev1.Node)) },
			UpdateFunc: func(_, obj any) { c.nodeChanged(obj.(*corev1.Node)) },
			DeleteFunc: c.nodeGone,
		}},
	} {
		registration, err := source.informer.AddEventHandler(source.handler)
		if err != nil {
			return nil, fmt.Errorf("watch for pods to collect: %w", err)
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return c, nil
}

func withDefaults(options Options) Options {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.Period == 0 {
		options.Period = 20 * time.Second
	}
	if options.Quarantine == 0 {
		options.Quarantine = 40 * time.Second
	}
	if options.FinishedPods == 0 {
		options.FinishedPods = 12500
	}
	return options
}

// Run collects until ctx is done.
func (c *Controller) Run(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		return
	}
	var running sync.WaitGroup
	running.Go(func() { c.loop.Run(ctx) })
	running.Go(func() { c.patrol(ctx) })
	running.Wait()
}

// patrol looks at all pods from time to time.
func (c *Controller) patrol(ctx context.Context) {
	ticker := c.Clock.NewTicker(c.Period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		if err := c.round(ctx); err != nil {
			klog.FromContext(ctx).Error(err, "Pods are left that should go")
		}
	}
}

// round has every pod considered and removes the finished ones in excess.
func (c *Controller) round(ctx context.Context) error {
	all, err := c.podsOf.List(labels.Everything())
	if err != nil {
		return err
	}
	bound := map[string]bool{}
	for _, pod := range all {
		bound[pod.Spec.NodeName] = true
		c.consider(pod)
	}
	c.forgetMissing(func(node string) bool { return !bound[node] })
	for _, pod := range excess(all, c.FinishedPods) {
		if err := c.remove(ctx, pod, nil); err != nil {
			return err
		}
	}
	return nil
}

// consider has a pod judged that may have to go.
func (c *Controller) consider(pod *corev1.Pod) {
	if v := judge(c.look(pod)); v.Collect || !v.Wake.IsZero() {
		c.loop.Add(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
	}
}

func (c *Controller) nodeChanged(node *corev1.Node) {
	c.forgetMissing(func(name string) bool { return name == node.Name })
	if outOfService(node) {
		c.considerAll(node.Name)
	}
}

func (c *Controller) nodeGone(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if node, ok := obj.(*corev1.Node); ok {
		c.considerAll(node.Name)
	}
}

func (c *Controller) considerAll(node string) {
	bound, err := cacheindex.PodsOnNode(c.pods, node)
	if err != nil {
		panic(err) // the index was added by New
	}
	for _, pod := range bound {
		c.consider(pod)
	}
}

// look gathers what the judgement of a pod depends on.
func (c *Controller) look(pod *corev1.Pod) view {
	v := view{Pod: pod, Quarantine: c.Quarantine, Now: c.Clock.Now()}
	if pod.Spec.NodeName == "" {
		return v
	}
	if node, err := c.nodes.Get(pod.Spec.NodeName); err == nil {
		v.Node = node
		return v
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	since, known := c.missing[pod.Spec.NodeName]
	if !known {
		since = v.Now
		c.missing[pod.Spec.NodeName] = since
	}
	v.Missing = since
	return v
}

func (c *Controller) forgetMissing(which func(node string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for node := range c.missing {
		if which(node) {
			delete(c.missing, node)
		}
	}
}

// Step judges one pod once.
func (c *Controller) Step(ctx context.Context, key types.NamespacedName) (time.Time, error) {
	pod, err := c.podsOf.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	v := judge(c.look(pod))
	if v.Confirm {
		_, err := c.Client.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
		if err == nil {
			return time.Time{}, nil // the node's event is on its way
		}
		if !apierrors.IsNotFound(err) {
			return time.Time{}, fmt.Errorf("confirm that node %s is gone: %w", pod.Spec.NodeName, err)
		}
	}
	if !v.Collect {
		return v.Wake, nil
	}
	klog.FromContext(ctx).V(2).Info("Removing a pod that nobody else ends", "pod", key, "node", pod.Spec.NodeName)
	return time.Time{}, c.remove(ctx, pod, v.Condition)
}

// remove fails a pod and deletes it without grace. The phase goes first, so
// that a pod which finalizers keep does not look as if it ran.
func (c *Controller) remove(ctx context.Context, pod *corev1.Pod, condition *corev1.PodCondition) error {
	name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	if !podstatus.IsTerminal(pod) {
		failed := pod.DeepCopy()
		failed.Status.Phase = corev1.PodFailed
		failed.Status.ObservedGeneration = pod.Generation
		if condition != nil {
			marked := *condition
			marked.LastTransitionTime, marked.ObservedGeneration = metav1.NewTime(c.Clock.Now()), pod.Generation
			podstatus.SetCondition(&failed.Status, marked)
		}
		if _, err := c.Writer.UpdatePodStatus(ctx, failed); err != nil {
			return ignoreGone(err, "fail", name)
		}
	}
	return ignoreGone(c.Writer.DeletePod(ctx, name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0),
		Preconditions:      &metav1.Preconditions{UID: &pod.UID},
	}), "delete", name)
}

func ignoreGone(err error, doing string, pod types.NamespacedName) error {
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("%s pod %s: %w", doing, pod, err)
}
