// Package cacheindex adds to the shared informers the indexes that several of
// their consumers want, each once, whoever comes first.
//
// Add them while wiring, before the informers start. Who uses an index, and for
// what, is the consumers' business.
package cacheindex

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// podsByNode is the name of the index of pods by spec.nodeName.
const podsByNode = "spec.nodeName"

// adding makes look-then-add one step, for an informer refuses a second index
// of the same name.
var adding sync.Mutex

// AddPodsByNode prepares a pod informer for PodsOnNode.
func AddPodsByNode(pods cache.SharedIndexInformer) error {
	return add(pods, podsByNode, func(obj any) ([]string, error) {
		pod, ok := obj.(*corev1.Pod)
		if !ok || pod.Spec.NodeName == "" {
			return nil, nil
		}
		return []string{pod.Spec.NodeName}, nil
	})
}

// PodsOnNode returns the pods bound to a node, in no order. The informer must
// have been through AddPodsByNode; the pods belong to the cache.
func PodsOnNode(pods cache.Indexer, node string) ([]*corev1.Pod, error) {
	objects, err := pods.ByIndex(podsByNode, node)
	if err != nil {
		return nil, fmt.Errorf("list pods on node %s: %w", node, err)
	}
	found := make([]*corev1.Pod, 0, len(objects))
	for _, object := range objects {
		found = append(found, object.(*corev1.Pod))
	}
	return found, nil
}

func add(informer cache.SharedIndexInformer, name string, index cache.IndexFunc) error {
	adding.Lock()
	defer adding.Unlock()
	if _, exists := informer.GetIndexer().GetIndexers()[name]; exists {
		return nil
	}
	if err := informer.AddIndexers(cache.Indexers{name: index}); err != nil {
		return fmt.Errorf("add index %s: %w", name, err)
	}
	return nil
}
