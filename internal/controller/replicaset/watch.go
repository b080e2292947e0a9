package replicaset

import (
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/cacheindex"
)

// gathering is how long the events of pods are gathered: a look costs as much as
// a ReplicaSet has pods.
const gathering = 20 * time.Millisecond

// watch subscribes to everything that may concern a ReplicaSet.
func (c *Controller) watch() error {
	pods := c.Informers.Core().V1().Pods().Informer()
	if err := cacheindex.AddByOwner(pods); err != nil {
		return err
	}
	if err := cacheindex.AddOrphans(pods); err != nil {
		return err
	}
	for _, source := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandlerFuncs
	}{
		{c.Informers.Apps().V1().ReplicaSets().Informer(), cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { c.loop.Add(keyOf(obj.(*appsv1.ReplicaSet))) },
			UpdateFunc: func(_, obj any) { c.loop.Add(keyOf(obj.(*appsv1.ReplicaSet))) },
			DeleteFunc: func(obj any) {
				if rs, ok := last(obj).(*appsv1.ReplicaSet); ok {
					c.loop.Add(keyOf(rs))
				}
			},
		}},
		{pods, cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { c.podChanged(nil, obj.(*corev1.Pod)) },
			UpdateFunc: func(old, obj any) { c.podChanged(old.(*corev1.Pod), obj.(*corev1.Pod)) },
			DeleteFunc: func(obj any) {
				if pod, ok := last(obj).(*corev1.Pod); ok {
					c.ownerTurn(pod)
				}
			},
		}},
	} {
		registration, err := source.informer.AddEventHandler(source.handler)
		if err != nil {
			return err
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return nil
}

// last is the object of a deletion, as last seen if the deletion was missed.
func last(obj any) any {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return tombstone.Obj
	}
	return obj
}

// podChanged asks for a turn for whom a pod concerns; old is nil if it is new.
func (c *Controller) podChanged(old, now *corev1.Pod) {
	if old != nil && !metav1.IsControlledBy(now, controllerOf(old)) {
		c.ownerTurn(old)
	}
	if metav1.GetControllerOfNoCopy(now) != nil {
		c.ownerTurn(now)
		return
	}
	orphaned := old == nil || metav1.GetControllerOfNoCopy(old) != nil || !maps.Equal(old.Labels, now.Labels)
	if orphaned && now.DeletionTimestamp == nil {
		c.orphanSeen(now)
	}
}

// controllerOf names the controller of an object; no object has an empty UID.
func controllerOf(object metav1.Object) metav1.Object {
	if ref := metav1.GetControllerOfNoCopy(object); ref != nil {
		return &metav1.ObjectMeta{UID: ref.UID}
	}
	return &metav1.ObjectMeta{}
}

// ownerTurn asks for a turn for the ReplicaSet that controls a pod.
func (c *Controller) ownerTurn(pod *corev1.Pod) {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil || ref.Kind != "ReplicaSet" {
		return
	}
	key := types.NamespacedName{Namespace: pod.Namespace, Name: ref.Name}
	if rs, err := c.sets.ReplicaSets(key.Namespace).Get(key.Name); err == nil && rs.UID == ref.UID {
		c.loop.AddAt(key, c.Clock.Now().Add(gathering))
	}
}

// orphanSeen asks for a turn for every ReplicaSet that may adopt a pod.
func (c *Controller) orphanSeen(pod *corev1.Pod) {
	sets, err := c.sets.ReplicaSets(pod.Namespace).List(labels.Everything())
	if err != nil {
		return // a lister that reads from memory does not fail
	}
	for _, rs := range sets {
		selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(pod.Labels)) {
			c.loop.Add(keyOf(rs))
		}
	}
}
