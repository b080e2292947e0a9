package store

import (
	"context"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// sharing is a storage whose watch delivers objects that share what they have in
// common. The watch cache keeps every version of every object for more than a
// minute, and most of a version is as it was in the one before: with 5,000 pods
// in a rollout that is what most memory would go to. The cache hands out objects
// that nobody may change, so that they can share.
type sharing struct {
	storage.Interface
	// delivered is what the last watch has delivered, nil before the first. The
	// watch cache has one at a time.
	delivered atomic.Pointer[versions]
}

func (s *sharing) Watch(ctx context.Context, key string, o storage.ListOptions) (watch.Interface, error) {
	w, err := s.Interface.Watch(ctx, key, o)
	if err != nil {
		return nil, err
	}
	v := newVersions()
	s.delivered.Store(v)
	return watch.Filter(w, v.pass), nil
}

// latest returns an object in a version, if that is the last one delivered, else
// nil.
func (s *sharing) latest(uid types.UID, version string) runtime.Object {
	v := s.delivered.Load()
	if v == nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if obj, ok := v.last[uid]; ok && obj.GetResourceVersion() == version {
		return obj.(runtime.Object)
	}
	return nil
}

// versions are the objects that a watch has delivered, each in its last version.
type versions struct {
	mu     sync.Mutex // held to write last, and by others to read it
	last   map[types.UID]metav1.Object
	newest metav1.Object // that was added: the next one is often its sibling
}

func newVersions() *versions { return &versions{last: map[types.UID]metav1.Object{}} }

// pass lets the object of an event share with those before it. Kind and version,
// which stored objects have and those from a client have not, it clears: nobody
// shall come to need them.
func (v *versions) pass(e watch.Event) (watch.Event, bool) {
	held := e.Object
	if timed, ok := held.(storage.WatchEventWithRecordTime); ok {
		held = timed.Unwrap()
	}
	obj, ok := held.(metav1.Object)
	if !ok || e.Type == watch.Bookmark || e.Type == watch.Error {
		return e, true
	}
	held.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	before, known := v.last[obj.GetUID()]
	if !known {
		before, v.newest = v.newest, obj
	}
	if before != nil {
		share(obj, before)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if e.Type == watch.Deleted {
		delete(v.last, obj.GetUID())
	} else {
		v.last[obj.GetUID()] = obj
	}
	return e, true
}

// share lets now, which nobody else has yet, refer to the parts of before that
// are equal to its own.
func share(now, before metav1.Object) {
	shareMeta(now, before)
	switch now := now.(type) {
	case *corev1.Pod:
		if before, ok := before.(*corev1.Pod); ok {
			sharePod(now, before)
		}
	case *corev1.Node:
		if before, ok := before.(*corev1.Node); ok {
			shareNode(now, before)
		}
	}
}

func shareMeta(now, before metav1.Object) {
	n, o := meta(now), meta(before)
	if n == nil || o == nil {
		return
	}
	same(&n.Name, o.Name)
	same(&n.GenerateName, o.GenerateName)
	same(&n.Namespace, o.Namespace)
	same(&n.UID, o.UID)
	equal(&n.Labels, o.Labels)
	equal(&n.Annotations, o.Annotations)
	equal(&n.OwnerReferences, o.OwnerReferences)
	equal(&n.Finalizers, o.Finalizers)
	equal(&n.ManagedFields, o.ManagedFields)
}

// meta is the metadata that obj holds, nil if it is of another form.
func meta(obj metav1.Object) *metav1.ObjectMeta {
	holder, ok := obj.(metav1.ObjectMetaAccessor)
	if !ok {
		return nil
	}
	held, _ := holder.GetObjectMeta().(*metav1.ObjectMeta)
	return held
}

func sharePod(now, before *corev1.Pod) {
	n, o := &now.Spec, &before.Spec
	same(&n.NodeName, o.NodeName)
	same(&n.ServiceAccountName, o.ServiceAccountName)
	same(&n.SchedulerName, o.SchedulerName)
	same(&n.PriorityClassName, o.PriorityClassName)
	equal(&n.Volumes, o.Volumes)
	equal(&n.InitContainers, o.InitContainers)
	equal(&n.Containers, o.Containers)
	equal(&n.NodeSelector, o.NodeSelector)
	equal(&n.SecurityContext, o.SecurityContext)
	equal(&n.Affinity, o.Affinity)
	equal(&n.Tolerations, o.Tolerations)
	equal(&n.TopologySpreadConstraints, o.TopologySpreadConstraints)
	equal(&now.Status.Conditions, before.Status.Conditions)
	equal(&now.Status.ContainerStatuses, before.Status.ContainerStatuses)
}

func shareNode(now, before *corev1.Node) {
	equal(&now.Spec.Taints, before.Spec.Taints)
	n, o := &now.Status, &before.Status
	same(&n.NodeInfo, o.NodeInfo)
	equal(&n.Capacity, o.Capacity)
	equal(&n.Allocatable, o.Allocatable)
	equal(&n.Conditions, o.Conditions)
	equal(&n.Addresses, o.Addresses)
	equal(&n.Images, o.Images)
}

func same[T comparable](now *T, before T) {
	if *now == before {
		*now = before
	}
}

// exactly tells apart what is written differently, such as 1Gi and 1073741824.
// Not so nil and empty, which are the same in protobuf, nor what a quantity
// remembers of its own text, which readers may write at any time.
var exactly = func() conversion.Equalities {
	e := apiequality.Semantic.Copy()
	if err := e.AddFunc(func(a, b resource.Quantity) bool { return a.Format == b.Format && a.Cmp(b) == 0 }); err != nil {
		panic(err)
	}
	return e
}()

func equal[T any](now *T, before T) {
	if exactly.DeepEqual(*now, before) {
		*now = before
	}
}
