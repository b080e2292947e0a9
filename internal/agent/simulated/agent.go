// Package simulated plays the agent of every node annotated
// garrison.dev/simulated: "true": it reports the node healthy, renews its
// lease, and takes the pods bound to it through their lives, all through the
// API and for all nodes from one set of informers.
//
// It leaves placement to the controllers and the scheduler, refuses no pod that
// was bound, and deletes no node. docs/design/simulated-nodes.md says what is
// played and what is not.
package simulated

import (
	"context"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/cacheindex"
	"github.com/garrison-project/garrison/internal/loop"
)

// Writer makes the agent's writes.
type Writer interface {
	UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	DeletePod(ctx context.Context, name types.NamespacedName, options metav1.DeleteOptions) error
	UpdateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error)
	CreateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error)
	UpdateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error)
}

// Options are what an Agent needs. Client, Informers and Writer are required.
type Options struct {
	Client    kubernetes.Interface // events, and leases that exist already
	Informers informers.SharedInformerFactory
	Writer    Writer
	Clock     clock.WithTicker // default: the system's
	// GracePeriod is how long node lifecycle lets a node be silent; leases are
	// renewed well within it. Default 50 s.
	GracePeriod time.Duration
}

// Workers per kind of work. Writes wait for the disk, and many at once share
// one wait.
const (
	podWorkers   = 48
	nodeWorkers  = 8
	leaseWorkers = 4
)

// Agent plays the agents of all simulated nodes.
type Agent struct {
	Options
	pods     cache.Indexer
	podsOf   corelisters.PodLister
	nodes    corelisters.NodeLister
	synced   []cache.InformerSynced
	podLoop  *loop.Loop[types.NamespacedName]
	nodeLoop *loop.Loop[string]
	leases   *loop.Loop[string]
	events   record.EventBroadcaster

	heartbeats    heartbeats
	nodeAddresses *addressPool
	podAddresses  *addressPool
	lastSeen      sync.Map // node name to *resources
}

// New prepares an agent; the informers may be started afterwards.
func New(options Options) (*Agent, error) {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.GracePeriod == 0 {
		options.GracePeriod = defaultGrace
	}
	nodes, pods := options.Informers.Core().V1().Nodes(), options.Informers.Core().V1().Pods()
	a := &Agent{
		Options:       options,
		pods:          pods.Informer().GetIndexer(),
		podsOf:        pods.Lister(),
		nodes:         nodes.Lister(),
		events:        record.NewBroadcaster(),
		heartbeats:    heartbeats{leases: map[string]*coordinationv1.Lease{}},
		nodeAddresses: newAddressPool(adoptedNodes),
		podAddresses:  newAddressPool(podRange),
	}
	a.podLoop = loop.New(loop.Options[types.NamespacedName]{Name: "simulated pods", Workers: podWorkers, Step: a.StepPod, Clock: options.Clock})
	a.nodeLoop = loop.New(loop.Options[string]{Name: "simulated nodes", Workers: nodeWorkers, Step: a.StepNode, Clock: options.Clock})
	a.leases = loop.New(loop.Options[string]{Name: "simulated leases", Workers: leaseWorkers, Step: a.StepLease, Clock: options.Clock})
	if err := cacheindex.AddPodsByNode(pods.Informer()); err != nil {
		return nil, err
	}
	return a, a.watch(nodes.Informer(), pods.Informer())
}

// watch registers what wakes the agent up.
func (a *Agent) watch(nodes, pods cache.SharedIndexInformer) error {
	for _, source := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandlerFuncs
	}{
		{nodes, cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { a.nodeChanged(nil, obj.(*corev1.Node)) },
			UpdateFunc: func(old, obj any) { a.nodeChanged(old.(*corev1.Node), obj.(*corev1.Node)) },
			DeleteFunc: func(obj any) { a.nodeGone(obj) },
		}},
		{pods, cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { a.podChanged(obj.(*corev1.Pod)) },
			UpdateFunc: func(_, obj any) { a.podChanged(obj.(*corev1.Pod)) },
			DeleteFunc: func(obj any) { a.podGone(obj) },
		}},
	} {
		registration, err := source.informer.AddEventHandler(source.handler)
		if err != nil {
			return fmt.Errorf("watch for simulated nodes: %w", err)
		}
		a.synced = append(a.synced, registration.HasSynced)
	}
	return nil
}

// Run plays until ctx is done.
func (a *Agent) Run(ctx context.Context) {
	a.events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: a.Client.CoreV1().Events("")})
	defer a.events.Shutdown()
	// Addresses in use must all be known before the first is given away.
	if !cache.WaitForCacheSync(ctx.Done(), a.synced...) {
		return
	}
	var loops sync.WaitGroup
	loops.Go(func() { a.podLoop.Run(ctx) })
	loops.Go(func() { a.nodeLoop.Run(ctx) })
	loops.Go(func() { a.leases.Run(ctx) })
	loops.Wait()
}

// nodeChanged wakes what depends on the node. Its pods care only when the node
// begins to be simulated, or becomes ready, or gets its address.
func (a *Agent) nodeChanged(old, node *corev1.Node) {
	if !IsSimulated(node) {
		return
	}
	for _, address := range addressesOf(node, corev1.NodeInternalIP) {
		a.nodeAddresses.keep(node.Name, address)
	}
	a.nodeLoop.Add(node.Name)
	adopted := old == nil || !IsSimulated(old) || old.UID != node.UID
	if adopted {
		a.leases.Add(node.Name)
	}
	if adopted || nodeReady(old) != nodeReady(node) || len(addressesOf(old, corev1.NodeInternalIP)) == 0 {
		a.wakePods(node.Name)
	}
}

func (a *Agent) wakePods(node string) {
	bound, err := cacheindex.PodsOnNode(a.pods, node)
	if err != nil {
		panic(err) // the index was added by New
	}
	for _, pod := range bound {
		a.podChanged(pod)
	}
}

func (a *Agent) nodeGone(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if node, ok := obj.(*corev1.Node); ok {
		a.nodeAddresses.drop(node.Name)
		a.lastSeen.Delete(node.Name)
		a.leases.Add(node.Name)
	}
}

func (a *Agent) podChanged(pod *corev1.Pod) {
	if _, simulated := a.simulatedNode(pod); !simulated {
		return
	}
	if !pod.Spec.HostNetwork {
		a.podAddresses.keep(string(pod.UID), pod.Status.PodIP)
	}
	a.podLoop.Add(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
}

func (a *Agent) podGone(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if pod, ok := obj.(*corev1.Pod); ok {
		a.podAddresses.drop(string(pod.UID))
	}
}

// simulatedNode returns the pod's node if the simulator plays it.
func (a *Agent) simulatedNode(pod *corev1.Pod) (*corev1.Node, bool) {
	if pod.Spec.NodeName == "" {
		return nil, false
	}
	node, err := a.nodes.Get(pod.Spec.NodeName)
	return node, err == nil && IsSimulated(node)
}

// StepNode brings the status of one node up to date.
func (a *Agent) StepNode(ctx context.Context, name string) (time.Time, error) {
	node, err := a.nodes.Get(name)
	if apierrors.IsNotFound(err) || err == nil && !IsSimulated(node) {
		a.lastSeen.Delete(name)
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	last, _ := a.lastSeen.Load(name)
	seen, _ := last.(*resources)
	status := nodeStatus(nodeView{
		Node: node, Last: seen, Address: a.nodeAddress(node),
		Version: kubeletVersion(), Now: a.Clock.Now(),
	})
	if status != nil {
		node = node.DeepCopy()
		node.Status = *status
		if _, err := a.Writer.UpdateNodeStatus(ctx, node); err != nil && !apierrors.IsNotFound(err) {
			return time.Time{}, fmt.Errorf("update status of node %s: %w", name, err)
		}
	}
	a.lastSeen.Store(name, &resources{Capacity: node.Status.Capacity, Allocatable: node.Status.Allocatable})
	return time.Time{}, nil
}

func (a *Agent) nodeAddress(node *corev1.Node) string {
	if reported := addressesOf(node, corev1.NodeInternalIP); len(reported) > 0 {
		return reported[0]
	}
	return a.nodeAddresses.get(node.Name)
}

// StepPod takes one pod of a simulated node one turn forward.
func (a *Agent) StepPod(ctx context.Context, key types.NamespacedName) (time.Time, error) {
	pod, err := a.podsOf.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	node, simulated := a.simulatedNode(pod)
	if !simulated {
		return time.Time{}, nil
	}
	turn := stepPod(podView{
		Pod: pod, HostIPs: addressesOf(node, corev1.NodeInternalIP), PodIP: a.podAddress(pod),
		Ready: nodeReady(node), Now: a.Clock.Now(),
	})
	return turn.Wake, a.act(ctx, pod, turn)
}

func (a *Agent) podAddress(pod *corev1.Pod) string {
	if pod.Spec.HostNetwork || pod.Status.PodIP != "" {
		return pod.Status.PodIP
	}
	return a.podAddresses.get(string(pod.UID))
}

// act does what a turn says. A pod that is gone needs nothing any more.
func (a *Agent) act(ctx context.Context, pod *corev1.Pod, turn podTurn) error {
	name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	var err error
	switch {
	case turn.Delete:
		err = a.Writer.DeletePod(ctx, name, metav1.DeleteOptions{
			GracePeriodSeconds: ptr.To[int64](0),
			Preconditions:      &metav1.Preconditions{UID: &pod.UID},
		})
		err = wrap(err, "delete stopped pod", name)
	case turn.Status != nil:
		updated := pod.DeepCopy()
		updated.Status = *turn.Status
		_, err = a.Writer.UpdatePodStatus(ctx, updated)
		err = wrap(err, "update status of pod", name)
	}
	if err == nil {
		a.tell(pod, turn.Events)
	}
	return err
}

func wrap(err error, doing string, pod types.NamespacedName) error {
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("%s %s: %w", doing, pod, err)
}

// tell writes events in the kubelet's name.
func (a *Agent) tell(pod *corev1.Pod, events []podEvent) {
	if len(events) == 0 {
		return
	}
	recorder := a.events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: pod.Spec.NodeName})
	for _, event := range events {
		recorder.Event(&corev1.ObjectReference{
			Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name,
			UID: pod.UID, ResourceVersion: pod.ResourceVersion, FieldPath: event.FieldPath,
		}, event.Type, event.Reason, event.Message)
	}
}
