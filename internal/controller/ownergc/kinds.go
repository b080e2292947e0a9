package ownergc

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/cacheindex"
)

// kind is one kind of objects that can be collected or own something.
type kind struct {
	gvr        schema.GroupVersionResource
	namespaced bool
	informer   cache.SharedIndexInformer
}

// kinds are all that the API serves, by resource and, for looking up owners,
// by group and kind: an owner reference may name any version.
type kinds struct {
	all    []*kind
	byGVR  map[schema.GroupVersionResource]*kind
	byKind map[schema.GroupKind]*kind
}

// findKinds asks the API what it serves and takes a shared informer for each
// kind. Events own nothing, are owned by nothing, and come in numbers: they
// are left out.
func findKinds(api discovery.DiscoveryInterface, factory informers.SharedInformerFactory) (*kinds, error) {
	served, err := discovery.ServerPreferredResources(api)
	if err != nil {
		return nil, fmt.Errorf("discover the kinds to collect: %w", err)
	}
	collectable := discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"delete", "get", "list", "patch", "watch"}}, served)
	found := &kinds{byGVR: map[schema.GroupVersionResource]*kind{}, byKind: map[schema.GroupKind]*kind{}}
	for _, list := range collectable {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("discover the kinds to collect: %w", err)
		}
		for _, resource := range list.APIResources {
			if resource.Kind == "Event" {
				continue
			}
			if err := found.add(gv, resource, factory); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func (k *kinds) add(gv schema.GroupVersion, resource metav1.APIResource, factory informers.SharedInformerFactory) error {
	gvr := gv.WithResource(resource.Name)
	shared, err := factory.ForResource(gvr)
	if err != nil {
		return fmt.Errorf("watch %s for garbage: %w", gvr, err)
	}
	if err := cacheindex.AddByOwner(shared.Informer()); err != nil {
		return err
	}
	one := &kind{gvr: gvr, namespaced: resource.Namespaced, informer: shared.Informer()}
	k.all = append(k.all, one)
	k.byGVR[gvr] = one
	k.byKind[schema.GroupKind{Group: gv.Group, Kind: resource.Kind}] = one
	return nil
}

// of returns the kind an owner reference names, nil if it is not served.
func (k *kinds) of(owner metav1.OwnerReference) *kind {
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	if err != nil {
		return nil
	}
	return k.byKind[schema.GroupKind{Group: gv.Group, Kind: owner.Kind}]
}

// get returns an object from the cache, nil if it is not there.
func (k *kind) get(namespace, name string) metav1.Object {
	stored, exists, err := k.informer.GetIndexer().GetByKey(cache.NewObjectName(namespace, name).String())
	if err != nil || !exists {
		return nil
	}
	return stored.(metav1.Object)
}

// dependent is an object of a kind.
type dependent struct {
	kind   *kind
	object metav1.Object
}

// dependents returns all that refers to an owner, as far as the caches know.
func (k *kinds) dependents(owner types.UID) ([]dependent, error) {
	var all []dependent
	for _, kind := range k.all {
		found, err := cacheindex.Dependents(kind.informer.GetIndexer(), owner)
		if err != nil {
			return nil, err
		}
		for _, object := range found {
			all = append(all, dependent{kind: kind, object: object})
		}
	}
	return all, nil
}
