// Package nodelife watches over nodes. It calls a node Unknown whose agent has
// fallen silent, taints nodes by their conditions, marks the pods of bad nodes
// not ready, and evicts pods from nodes with NoExecute taints they do not bear.
//
// It leaves the pods of deleted nodes to podgc, and to the agents to say how
// their nodes are.
package nodelife

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	coordinationlisters "k8s.io/client-go/listers/coordination/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/cacheindex"
	"github.com/garrison-project/garrison/internal/loop"
)

// Writer makes the controller's writes, but for taints.
type Writer interface {
	UpdateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error)
	UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	DeletePod(ctx context.Context, name types.NamespacedName, options metav1.DeleteOptions) error
}

// Options are what a Controller needs. Client, Informers and Writer are
// required.
type Options struct {
	Client    kubernetes.Interface // writes taints and events
	Informers informers.SharedInformerFactory
	Writer    Writer
	Clock     clock.WithTicker // default: the system's
	// GracePeriod is how long a node may be silent before it is Unknown;
	// default 50 s.
	GracePeriod time.Duration
	// StartupGracePeriod is the same for a node that never reported; default
	// 60 s, but not less than GracePeriod.
	StartupGracePeriod time.Duration
}

const (
	nodeWorkers = 8
	podWorkers  = 16
	// Events beyond this rate are dropped: when thousands of nodes change, the
	// nodes tell the story.
	eventsPerSecond, eventBurst = 10, 100
)

// Controller watches over nodes.
type Controller struct {
	Options
	nodes    corelisters.NodeLister
	podsOf   corelisters.PodLister
	pods     cache.Indexer
	leases   coordinationlisters.LeaseNamespaceLister
	nodeLoop *loop.Loop[string]
	podLoop  *loop.Loop[types.NamespacedName]
	synced   []cache.InformerSynced

	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
	eventRate   flowcontrol.RateLimiter

	mu     sync.Mutex
	ledger *ledger
	// suffering says since when pods have been seen under NoExecute taints
	// that will drive them out.
	suffering map[types.NamespacedName]time.Time
}

// New prepares a controller; the informers may be started afterwards.
func New(options Options) (*Controller, error) {
	options = withDefaults(options)
	core := options.Informers.Core().V1()
	leases := options.Informers.Coordination().V1().Leases()
	c := &Controller{
		Options:     options,
		nodes:       core.Nodes().Lister(),
		podsOf:      core.Pods().Lister(),
		pods:        core.Pods().Informer().GetIndexer(),
		leases:      leases.Lister().Leases(corev1.NamespaceNodeLease),
		broadcaster: record.NewBroadcaster(),
		eventRate:   flowcontrol.NewTokenBucketRateLimiterWithClock(eventsPerSecond, eventBurst, options.Clock),
		ledger:      newLedger(options.GracePeriod, options.StartupGracePeriod),
		suffering:   map[types.NamespacedName]time.Time{},
	}
	c.recorder = newRecorder(c.broadcaster)
	c.nodeLoop = loop.New(loop.Options[string]{Name: "node life", Workers: nodeWorkers, Step: c.StepNode, Clock: options.Clock})
	c.podLoop = loop.New(loop.Options[types.NamespacedName]{Name: "taint eviction", Workers: podWorkers, Step: c.StepPod, Clock: options.Clock})
	if err := cacheindex.AddPodsByNode(core.Pods().Informer()); err != nil {
		return nil, err
	}
	for _, source := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{core.Nodes().Informer(), c.nodeHandler()},
		{core.Pods().Informer(), c.podHandler()},
		{leases.Informer(), c.leaseHandler()},
	} {
		registration, err := source.informer.AddEventHandler(source.handler)
		if err != nil {
			return nil, fmt.Errorf("watch over nodes: %w", err)
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return c, nil
}

func withDefaults(options Options) Options {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.GracePeriod == 0 {
		options.GracePeriod = 50 * time.Second
	}
	if options.StartupGracePeriod == 0 {
		options.StartupGracePeriod = max(time.Minute, options.GracePeriod)
	}
	return options
}

// Run watches until ctx is done. It judges no node before it knows them all:
// a single bad one must not look like a blackout.
func (c *Controller) Run(ctx context.Context) {
	c.broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.Client.CoreV1().Events("")})
	defer c.broadcaster.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), c.synced...) || c.enrol() != nil {
		return
	}
	var loops sync.WaitGroup
	loops.Go(func() { c.nodeLoop.Run(ctx) })
	loops.Go(func() { c.podLoop.Run(ctx) })
	loops.Wait()
}

// enrol takes stock of all nodes.
func (c *Controller) enrol() error {
	all, err := c.nodes.List(labels.Everything())
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, node := range all {
		c.ledger.enrol(c.heartbeat(node), c.Clock.Now())
	}
	return nil
}
