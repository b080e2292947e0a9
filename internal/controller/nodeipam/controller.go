// Package nodeipam gives every node a range of addresses for its pods, unless it
// has one: nodes without machine have none, and an agent may have been told.
//
// What the agent makes of its range is left to the agent. A range is freed when
// its node is deleted.
package nodeipam

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-helpers/node/util"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/loop"
)

// DefaultClusterCIDR is the range that nodes get a part of. It lies beside those
// that simulated nodes and pods take their addresses from.
var DefaultClusterCIDR = netip.MustParsePrefix("10.84.0.0/16")

// The length of the mask of a node's range, as kube-controller-manager has them.
const (
	nodeMaskIPv4 = 24
	nodeMaskIPv6 = 64
)

// simulatedAnnotation marks nodes that have no machine.
const simulatedAnnotation = "garrison.dev/simulated"

// Options are what a Controller needs. Client and Informers are required.
type Options struct {
	Client      kubernetes.Interface
	Informers   informers.SharedInformerFactory
	ClusterCIDR netip.Prefix     // default: DefaultClusterCIDR
	Clock       clock.WithTicker // default: the system's
}

// Controller hands out ranges.
type Controller struct {
	Options
	nodes       corelisters.NodeLister
	loop        *loop.Loop[string]
	synced      cache.InformerSynced
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder

	mu     sync.Mutex
	ranges *ranges
}

// CheckClusterCIDR tells what is wrong with a range that nodes are to get a part of.
func CheckClusterCIDR(whole netip.Prefix) error {
	_, err := newRanges(whole, nodeMask(whole))
	return err
}

func nodeMask(whole netip.Prefix) int {
	if whole.Addr().Is4() {
		return nodeMaskIPv4
	}
	return nodeMaskIPv6
}

// New prepares a controller; the informers may be started afterwards.
func New(options Options) (*Controller, error) {
	if options.ClusterCIDR == (netip.Prefix{}) {
		options.ClusterCIDR = DefaultClusterCIDR
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	nodes := options.Informers.Core().V1().Nodes()
	c := &Controller{Options: options, nodes: nodes.Lister(), broadcaster: record.NewBroadcaster()}
	c.recorder = c.broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "cidrAllocator"})
	c.loop = loop.New(loop.Options[string]{Name: "node IPAM", Workers: 1, Step: c.Step, Clock: options.Clock})
	var err error
	if c.ranges, err = newRanges(options.ClusterCIDR, nodeMask(options.ClusterCIDR)); err != nil {
		return nil, err
	}
	registration, err := nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.changed(obj.(*corev1.Node)) },
		UpdateFunc: func(_, obj any) { c.changed(obj.(*corev1.Node)) },
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			if node, ok := obj.(*corev1.Node); ok {
				c.loop.Add(node.Name)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("watch for nodes without addresses: %w", err)
	}
	c.synced = registration.HasSynced
	return c, nil
}

// changed asks for a step if a node lacks a range, or has one that was not known.
func (c *Controller) changed(node *corev1.Node) {
	if node.Annotations[simulatedAnnotation] == "true" {
		return
	}
	c.mu.Lock()
	known := len(c.ranges.held[node.Name]) > 0
	c.mu.Unlock()
	if !known || len(node.Spec.PodCIDRs) == 0 {
		c.loop.Add(node.Name)
	}
}

// Run hands out ranges until ctx is done. It begins when it knows which ones are
// taken.
func (c *Controller) Run(ctx context.Context) {
	c.broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.Client.CoreV1().Events("")})
	defer c.broadcaster.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), c.synced) {
		return
	}
	nodes, err := c.nodes.List(labels.Everything())
	if err != nil {
		panic(err) // listers of a cache do not fail
	}
	c.mu.Lock()
	for _, node := range nodes {
		c.ranges.book(node.Name, prefixes(node))
	}
	c.mu.Unlock()
	c.loop.Run(ctx)
}

// Step sees to the range of one node.
func (c *Controller) Step(ctx context.Context, name string) (time.Time, error) {
	node, err := c.nodes.Get(name)
	if apierrors.IsNotFound(err) {
		c.book(name, nil)
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	if has := prefixes(node); len(has) > 0 || node.Annotations[simulatedAnnotation] == "true" {
		c.book(name, has)
		return time.Time{}, nil
	}
	part, found := c.take(name)
	if !found {
		c.recorder.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name, UID: node.UID},
			corev1.EventTypeNormal, "CIDRNotAvailable", fmt.Sprintf("Node %s status is now: CIDRNotAvailable", name))
		return time.Time{}, fmt.Errorf("node %s gets no addresses for its pods: all of %v is taken", name, c.ClusterCIDR)
	}
	if err := util.PatchNodeCIDRs(ctx, c.Client, types.NodeName(name), []string{part.String()}); err != nil {
		// It stays the node's: it may have been written all the same.
		return time.Time{}, fmt.Errorf("give node %s addresses for its pods: %w", name, err)
	}
	return time.Time{}, nil
}

func (c *Controller) book(name string, has []netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ranges.book(name, has)
}

// take returns the range a node was given before, which its cache may not show
// yet, or a new one.
func (c *Controller) take(name string) (netip.Prefix, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.ranges.held[name]; len(held) > 0 {
		return held[0], true
	}
	return c.ranges.take(name)
}

// prefixes are the ranges that a node has.
func prefixes(node *corev1.Node) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range node.Spec.PodCIDRs {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			all = append(all, prefix)
		}
	}
	return all
}
