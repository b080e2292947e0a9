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
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// The names of the indexes.
const (
	podsByNode = "spec.nodeName"
	byOwner    = "metadata.ownerReferences.uid"
	orphans    = "metadata.namespace without a controller"
)

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

// AddByOwner prepares an informer of any kind for Dependents.
func AddByOwner(informer cache.SharedIndexInformer) error {
	return add(informer, byOwner, func(obj any) ([]string, error) {
		object, err := meta.Accessor(obj)
		if err != nil {
			return nil, err
		}
		owners := object.GetOwnerReferences()
		uids := make([]string, 0, len(owners))
		for _, owner := range owners {
			uids = append(uids, string(owner.UID))
		}
		return uids, nil
	})
}

// Dependents returns the objects with an owner reference to uid, in no order.
// The informer must have been through AddByOwner; the objects belong to the
// cache.
func Dependents(objects cache.Indexer, uid types.UID) ([]metav1.Object, error) {
	found, err := objects.ByIndex(byOwner, string(uid))
	if err != nil {
		return nil, fmt.Errorf("list dependents of %s: %w", uid, err)
	}
	dependents := make([]metav1.Object, 0, len(found))
	for _, object := range found {
		dependents = append(dependents, object.(metav1.Object))
	}
	return dependents, nil
}

// AddOrphans prepares an informer of any kind for Orphans.
func AddOrphans(informer cache.SharedIndexInformer) error {
	return add(informer, orphans, func(obj any) ([]string, error) {
		object, err := meta.Accessor(obj)
		if err != nil || metav1.GetControllerOfNoCopy(object) != nil {
			return nil, err
		}
		return []string{object.GetNamespace()}, nil
	})
}

// Orphans returns the objects of a namespace without a controller, in no order.
// The informer must have been through AddOrphans; the objects belong to the
// cache.
func Orphans(objects cache.Indexer, namespace string) ([]metav1.Object, error) {
	found, err := objects.ByIndex(orphans, namespace)
	if err != nil {
		return nil, fmt.Errorf("list orphans in %s: %w", namespace, err)
	}
	all := make([]metav1.Object, 0, len(found))
	for _, object := range found {
		all = append(all, object.(metav1.Object))
	}
	return all, nil
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
