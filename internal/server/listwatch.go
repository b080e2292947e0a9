package server

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/client-go/tools/cache"
)

// storeListWatch lists and watches a stored kind in all namespaces without a
// request: nothing is encoded, authorised or counted.
//
// The objects share memory with the watch cache of the server. Whoever changes
// one corrupts what every client reads: copy first.
type storeListWatch struct {
	store *genericregistry.Store
	// latest finds the object of the watch cache itself, nil if it is not at that
	// version.
	latest latestFunc
}

type latestFunc func(resource schema.GroupResource, uid types.UID, version string) runtime.Object

var (
	_ cache.ListerWatcher            = &storeListWatch{}
	_ cache.ListerWatcherWithContext = &storeListWatch{}
)

func (lw *storeListWatch) List(o metav1.ListOptions) (runtime.Object, error) {
	return lw.ListWithContext(context.Background(), o)
}

func (lw *storeListWatch) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return lw.WatchWithContext(context.Background(), o)
}

func (lw *storeListWatch) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	options, err := internalOptions(o)
	if err != nil {
		return nil, err
	}
	if err := lw.filled(ctx); err != nil {
		return nil, err
	}
	list, err := lw.store.List(request.WithNamespace(ctx, metav1.NamespaceAll), options)
	if err != nil {
		return nil, err
	}
	return list, meta.EachListItem(list, func(obj runtime.Object) error {
		clearType(obj)
		return nil
	})
}

func (lw *storeListWatch) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	options, err := internalOptions(o)
	if err != nil {
		return nil, err
	}
	if err := lw.filled(ctx); err != nil {
		return nil, err
	}
	w, err := lw.store.Watch(request.WithNamespace(ctx, metav1.NamespaceAll), options)
	if err != nil {
		return nil, err
	}
	return watch.Filter(w, lw.unwrap), nil
}

// filled waits until the watch cache has been read from etcd. Until then it
// answers that it is too busy, and an informer would try again after a second.
func (lw *storeListWatch) filled(ctx context.Context) error {
	return wait.PollUntilContextCancel(ctx, 2*time.Millisecond, true, func(context.Context) (bool, error) {
		return lw.store.ReadinessCheck() == nil, nil
	})
}

// unwrap puts the object of the watch cache in the place of the copy that was made
// for this watch, or would be made if it is taken out of the form in which encodings
// are shared. A copy remains where the cache has gone on to a later version.
func (lw *storeListWatch) unwrap(e watch.Event) (watch.Event, bool) {
	if obj, ok := e.Object.(metav1.Object); ok && (e.Type == watch.Added || e.Type == watch.Modified) {
		if held := lw.latest(lw.store.DefaultQualifiedResource, obj.GetUID(), obj.GetResourceVersion()); held != nil {
			e.Object = held
			return e, true
		}
	}
	if shared, ok := e.Object.(runtime.CacheableObject); ok {
		e.Object = shared.GetObject()
	}
	if e.Type != watch.Error {
		clearType(e.Object)
	}
	return e, true
}

// clearType clears kind and version, which objects from the store have and
// those from a client have not: nobody shall come to need them.
func clearType(obj runtime.Object) {
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
}

func internalOptions(o metav1.ListOptions) (*internalversion.ListOptions, error) {
	out := &internalversion.ListOptions{}
	return out, internalversion.Convert_v1_ListOptions_To_internalversion_ListOptions(&o, out, nil)
}
