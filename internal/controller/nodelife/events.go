package nodelife

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/garrison-project/garrison/internal/cacheindex"
	"github.com/garrison-project/garrison/internal/podstatus"
)

func newRecorder(broadcaster record.EventBroadcaster) record.EventRecorder {
	return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "node-controller"})
}

// nodeHandler turns the events of nodes into keys.
func (c *Controller) nodeHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			node := obj.(*corev1.Node)
			if !initial {
				c.tellOfNode(node, "RegisteredNode", "Node "+node.Name+" event: Registered Node "+node.Name+" in Controller")
			}
			c.nodeChanged(nil, node)
		},
		UpdateFunc: func(old, obj any) { c.nodeChanged(old.(*corev1.Node), obj.(*corev1.Node)) },
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			if node, ok := obj.(*corev1.Node); ok {
				c.tellOfNode(node, "RemovingNode", "Node "+node.Name+" event: Removing Node "+node.Name+" from Controller")
				c.nodeLoop.Add(node.Name)
			}
		},
	}
}

func (c *Controller) nodeChanged(old, node *corev1.Node) {
	c.nodeLoop.Add(node.Name)
	before := []corev1.Taint(nil)
	if old != nil {
		before = noExecute(old)
	}
	if equality.Semantic.DeepEqual(before, noExecute(node)) {
		return
	}
	for _, pod := range c.podsOn(node.Name) {
		c.podLoop.Add(nameOf(pod))
	}
}

// podsOn returns the pods bound to a node.
func (c *Controller) podsOn(node string) []*corev1.Pod {
	bound, err := cacheindex.PodsOnNode(c.pods, node)
	if err != nil {
		panic(err) // the index was added by New
	}
	return bound
}

// podHandler turns the events of pods on bad nodes into keys.
func (c *Controller) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.podChanged(obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { c.podChanged(obj.(*corev1.Pod)) },
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			if pod, ok := obj.(*corev1.Pod); ok {
				c.relieve(nameOf(pod))
			}
		},
	}
}

func (c *Controller) podChanged(pod *corev1.Pod) {
	if pod.Spec.NodeName == "" {
		return
	}
	node, err := c.nodes.Get(pod.Spec.NodeName)
	if err != nil {
		return // podgc's business
	}
	if len(noExecute(node)) > 0 {
		c.podLoop.Add(nameOf(pod))
	}
	// It may have become ready while its node was being given up.
	ready := condition(node, corev1.NodeReady)
	if ready != nil && ready.Status == corev1.ConditionUnknown && podstatus.IsReady(&pod.Status) {
		c.nodeLoop.Add(node.Name)
	}
}

// leaseHandler notes signs of life. They ask for no step: the next one is due
// when they have failed to come.
func (c *Controller) leaseHandler() cache.ResourceEventHandler {
	heard := func(obj any) {
		lease := obj.(*coordinationv1.Lease)
		if lease.Namespace == corev1.NamespaceNodeLease && lease.Spec.RenewTime != nil {
			c.look(func() { c.ledger.heard(lease.Name, *lease.Spec.RenewTime, c.Clock.Now()) })
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: heard, UpdateFunc: func(_, obj any) { heard(obj) }}
}

func noExecute(node *corev1.Node) []corev1.Taint {
	var found []corev1.Taint
	for _, t := range node.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			found = append(found, t)
		}
	}
	return found
}

func nameOf(pod *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
}

// tellOfNode writes an event about a node.
func (c *Controller) tellOfNode(node *corev1.Node, reason, message string) {
	if c.eventRate.TryAccept() {
		c.recorder.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}, corev1.EventTypeNormal, reason, message)
	}
}

// podEvent is an event about a pod.
type podEvent struct{ kind, reason, message string }

func (c *Controller) tellOfPod(pod *corev1.Pod, e podEvent) {
	if c.eventRate.TryAccept() {
		c.recorder.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}, e.kind, e.reason, e.message)
	}
}
