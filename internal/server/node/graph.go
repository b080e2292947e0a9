package node

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/api/podrefs"
)

// Graph knows which nodes need which objects, because of the pods bound to
// them. A change of one pod costs as much as the pod names objects, whatever
// else there is.
type Graph struct {
	mu   sync.RWMutex
	pods map[types.NamespacedName]bound
	// needs counts, for each object, the pods on each node that name it.
	needs map[object]map[string]int
}

// bound is a pod that has a node.
type bound struct {
	node    string
	objects []object // without repetition
}

// object is something in a namespace that a pod can name.
type object struct {
	kind kind
	types.NamespacedName
}

type kind byte

const (
	secret kind = iota
	configMap
	serviceAccount
	claim
)

// NewGraph returns a graph that knows of no pods.
func NewGraph() *Graph {
	return &Graph{pods: map[types.NamespacedName]bound{}, needs: map[object]map[string]int{}}
}

// Follow keeps the graph up to date with what an informer of pods sees.
func (g *Graph) Follow(pods cache.SharedIndexInformer) (cache.ResourceEventHandlerRegistration, error) {
	return pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { g.Set(obj.(*corev1.Pod)) },
		UpdateFunc: func(was, is any) {
			if old, pod := was.(*corev1.Pod), is.(*corev1.Pod); !sameNeeds(old, pod) {
				g.Set(pod)
			}
		},
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			pod := obj.(*corev1.Pod)
			g.Remove(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
		},
	})
}

// sameNeeds spares the graph the many updates that only report status: after
// creation a pod can still be bound, and get debugging containers.
func sameNeeds(old, pod *corev1.Pod) bool {
	return old.UID == pod.UID && old.Spec.NodeName == pod.Spec.NodeName &&
		len(old.Spec.EphemeralContainers) == len(pod.Spec.EphemeralContainers)
}

// Set notes a pod as it is now.
func (g *Graph) Set(pod *corev1.Pod) {
	name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	objects := objectsOf(pod)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(name)
	if pod.Spec.NodeName == "" {
		return
	}
	g.pods[name] = bound{pod.Spec.NodeName, objects}
	for _, o := range objects {
		if g.needs[o] == nil {
			g.needs[o] = map[string]int{}
		}
		g.needs[o][pod.Spec.NodeName]++
	}
}

// Remove forgets a pod.
func (g *Graph) Remove(pod types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(pod)
}

func (g *Graph) remove(pod types.NamespacedName) {
	b, known := g.pods[pod]
	if !known {
		return
	}
	delete(g.pods, pod)
	for _, o := range b.objects {
		nodes := g.needs[o]
		if nodes[b.node]--; nodes[b.node] == 0 {
			delete(nodes, b.node)
		}
		if len(nodes) == 0 {
			delete(g.needs, o)
		}
	}
}

// runs tells whether a pod is bound to a node.
func (g *Graph) runs(node string, pod types.NamespacedName) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	b, known := g.pods[pod]
	return known && b.node == node
}

// needed tells whether a pod bound to a node names an object.
func (g *Graph) needed(node string, o object) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.needs[o][node] > 0
}

// objectsOf lists what a pod names. A mirror pod names nothing: its node made
// it, and could otherwise give itself access to anything.
func objectsOf(pod *corev1.Pod) []object {
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return nil
	}
	seen := map[object]bool{}
	var all []object
	add := func(k kind, name string) {
		o := object{k, types.NamespacedName{Namespace: pod.Namespace, Name: name}}
		if !seen[o] {
			seen[o] = true
			all = append(all, o)
		}
	}
	if pod.Spec.ServiceAccountName != "" {
		add(serviceAccount, pod.Spec.ServiceAccountName)
	}
	for name := range podrefs.Secrets(pod) {
		add(secret, name)
	}
	for name := range podrefs.ConfigMaps(pod) {
		add(configMap, name)
	}
	for name := range podrefs.Claims(pod) {
		add(claim, name)
	}
	return all
}
