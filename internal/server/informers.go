package server

import (
	"context"
	"fmt"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/apps"
	"k8s.io/client-go/informers/coordination"
	"k8s.io/client-go/informers/core"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/informers/networking"
	"k8s.io/client-go/informers/node"
	"k8s.io/client-go/informers/policy"
	"k8s.io/client-go/informers/rbac"
	"k8s.io/client-go/informers/scheduling"
	"k8s.io/client-go/informers/storage"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/api/kinds"
)

// informerFactory is a shared informer factory whose informers of stored kinds
// read from the server's storage. Informers of other kinds use the client.
//
// Informers end with the server, whatever they were started with.
type informerFactory struct {
	informers.SharedInformerFactory
	ctx    context.Context
	stores map[reflect.Type]*genericregistry.Store
	served *kinds.Set
	latest latestFunc
}

var _ informers.SharedInformerFactory = &informerFactory{}

// newInformerFactory returns a factory whose informers run until ctx is done
// at the latest.
func newInformerFactory(ctx context.Context, client kubernetes.Interface, served *kinds.Set, latest latestFunc) *informerFactory {
	f := &informerFactory{
		SharedInformerFactory: informers.NewSharedInformerFactory(client, 0),
		ctx:                   ctx,
		stores:                map[reflect.Type]*genericregistry.Store{},
		served:                served,
		latest:                latest,
	}
	for _, gr := range served.Resources() {
		store := served.Store(gr)
		f.stores[reflect.TypeOf(store.New())] = store
	}
	return f
}

// InformerFor returns the informer of the kind of obj.
func (f *informerFactory) InformerFor(obj runtime.Object, overClient internalinterfaces.NewInformerFunc) cache.SharedIndexInformer {
	store, ok := f.stores[reflect.TypeOf(obj)]
	if !ok {
		return f.SharedInformerFactory.InformerFor(obj, overClient)
	}
	return f.SharedInformerFactory.InformerFor(obj, func(_ kubernetes.Interface, resync time.Duration) cache.SharedIndexInformer {
		indexers := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
		return cache.NewSharedIndexInformer(&storeListWatch{store, f.latest}, obj, resync, indexers)
	})
}

// ForResource returns the informer of a stored resource.
func (f *informerFactory) ForResource(gvr schema.GroupVersionResource) (informers.GenericInformer, error) {
	store := f.served.Store(gvr.GroupResource())
	if store == nil {
		return nil, fmt.Errorf("no informer for %s: the resource is not stored", gvr)
	}
	informer := f.InformerFor(store.New(), nil)
	return genericInformer{informer, cache.NewGenericLister(informer.GetIndexer(), gvr.GroupResource())}, nil
}

type genericInformer struct {
	informer cache.SharedIndexInformer
	lister   cache.GenericLister
}

func (g genericInformer) Informer() cache.SharedIndexInformer { return g.informer }
func (g genericInformer) Lister() cache.GenericLister         { return g.lister }

// Start starts the informers that were asked for and do not run yet. They end
// with stop or with the server.
func (f *informerFactory) Start(stop <-chan struct{}) {
	ctx, cancel := context.WithCancel(f.ctx)
	go func() {
		defer cancel()
		select {
		case <-stop:
		case <-ctx.Done():
		}
	}()
	f.SharedInformerFactory.StartWithContext(ctx)
}

// StartWithContext is Start for a caller with a context.
func (f *informerFactory) StartWithContext(ctx context.Context) { f.Start(ctx.Done()) }

// The typed accessors of the groups that are stored lead to InformerFor above.

func (f *informerFactory) Core() core.Interface {
	return core.New(f, metav1.NamespaceAll, nil)
}

func (f *informerFactory) Apps() apps.Interface {
	return apps.New(f, metav1.NamespaceAll, nil)
}

func (f *informerFactory) Coordination() coordination.Interface {
	return coordination.New(f, metav1.NamespaceAll, nil)
}

func (f *informerFactory) Networking() networking.Interface {
	return networking.New(f, metav1.NamespaceAll, nil)
}

func (f *informerFactory) Node() node.Interface {
	return node.New(f, metav1.NamespaceAll, nil)
}

func (f *informerFactory) Policy() policy.Interface {
	return policy.New(f, metav1.NamespaceAll, nil)
}

func (f *informerFactory) Rbac() rbac.Interface {
	return rbac.New(f, metav1.NamespaceAll, nil)
}

func (f *informerFactory) Scheduling() scheduling.Interface {
	return scheduling.New(f, metav1.NamespaceAll, nil)
}

func (f *informerFactory) Storage() storage.Interface {
	return storage.New(f, metav1.NamespaceAll, nil)
}
