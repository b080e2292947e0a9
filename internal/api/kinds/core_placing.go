package kinds

import (
	"context"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

// Placer decides where pods go that are about to be stored.
type Placer interface {
	// Place returns the node that the pod is to be stored with, or "" if it is
	// to be stored without one and has to wait for its scheduler. With a node
	// comes settle, which must be called once: with the pod as it was stored, or
	// with nil if it was not.
	Place(pod *corev1.Pod) (node string, settle func(stored *corev1.Pod))
}

// placing is the storage of pods. What comes here has been admitted and found
// valid, and is no rehearsal; if the placer knows the pod's node already, the pod
// is stored bound, in one write instead of two.
type placing struct {
	storage.Interface
	placer atomic.Pointer[Placer] // nil while there is none
}

// over lets pods be stored through s, and leaves other resources alone.
func (s *placing) over(options generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	return optionsFunc(func(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
		o, err := options.GetRESTOptions(resource, example)
		if err != nil || resource != podsResource {
			return o, err
		}
		decorate := o.Decorator
		o.Decorator = func(c *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error),
			newObject, newList func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers,
		) (storage.Interface, factory.DestroyFunc, error) {
			below, destroy, err := decorate(c, prefix, key, newObject, newList, attrs, triggers, indexers)
			s.Interface = below
			return s, destroy, err
		}
		return o, nil
	})
}

type optionsFunc func(schema.GroupResource, runtime.Object) (generic.RESTOptions, error)

func (f optionsFunc) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	return f(resource, example)
}

// PlaceWith lets p place new pods from now on.
func (s *Set) PlaceWith(p Placer) { s.placing.placer.Store(&p) }

// Create stores a new pod, bound if its node is known.
func (s *placing) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	placer := s.placer.Load()
	if placer == nil {
		return s.Interface.Create(ctx, key, obj, out, ttl)
	}
	pod := obj.(*corev1.Pod)
	node, settle := (*placer).Place(pod)
	if node == "" {
		return s.Interface.Create(ctx, key, obj, out, ttl)
	}
	var stored *corev1.Pod
	defer func() { settle(stored) }() // whatever happens
	bound := *pod                     // what the placer has seen must not change
	putOn(&bound, node, metav1.Now())
	err := s.Interface.Create(ctx, key, &bound, out, ttl)
	if err == nil {
		stored = out.(*corev1.Pod)
	}
	return err
}
