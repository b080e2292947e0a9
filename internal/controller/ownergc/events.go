package ownergc

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// handler turns the events of a kind into keys. Most events concern no owner,
// and cost no more than finding that out.
func (c *Controller) handler(k *kind) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { c.changed(k, nil, obj.(metav1.Object)) },
		UpdateFunc: func(old, obj any) {
			c.changed(k, old.(metav1.Object), obj.(metav1.Object))
		},
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			if object, ok := obj.(metav1.Object); ok {
				c.deleted(object)
			}
		},
	}
}

func (c *Controller) changed(k *kind, old, object metav1.Object) {
	if old != nil && old.GetUID() != object.GetUID() {
		c.deleted(old)
		old = nil
	}
	if old != nil && sameBonds(old, object) {
		return
	}
	if old != nil {
		c.wakeOwners(old)
	}
	if awaits(object) != standingSolid {
		c.loop.Add(keyOf(k, object))
		return
	}
	if object.GetDeletionTimestamp() == nil && slices.ContainsFunc(object.GetOwnerReferences(), func(owner metav1.OwnerReference) bool {
		return !c.plainlySolid(object, owner)
	}) {
		c.loop.Add(keyOf(k, object))
	}
}

// sameBonds tells whether an update left alone all that matters here. The
// resourceVersion does not: a deletion that failed for it is retried.
func sameBonds(old, object metav1.Object) bool {
	return (old.GetDeletionTimestamp() == nil) == (object.GetDeletionTimestamp() == nil) &&
		slices.Equal(old.GetFinalizers(), object.GetFinalizers()) &&
		equality.Semantic.DeepEqual(old.GetOwnerReferences(), object.GetOwnerReferences())
}

// deleted has the dependents of an object judged that is gone, and its owners
// if they waited for it.
func (c *Controller) deleted(object metav1.Object) {
	if _, known := c.gone.Get(object.GetUID()); !known {
		c.gone.Add(object.GetUID(), standingAbsent)
	}
	dependents, err := c.kinds.dependents(object.GetUID())
	if err != nil {
		panic(err) // the index was added by New
	}
	c.wake(dependents)
	c.wakeOwners(object)
}

// wakeOwners has those owners of an object looked at that wait for it.
func (c *Controller) wakeOwners(object metav1.Object) {
	for _, owner := range object.GetOwnerReferences() {
		if kind, cached := c.cachedOwner(object, owner); cached != nil && awaits(cached) != standingSolid {
			c.loop.AddAt(keyOf(kind, cached), c.Clock.Now().Add(awaitPause))
		}
	}
}

// plainlySolid tells whether the cache shows an owner that stays.
func (c *Controller) plainlySolid(object metav1.Object, owner metav1.OwnerReference) bool {
	_, cached := c.cachedOwner(object, owner)
	return cached != nil && awaits(cached) == standingSolid
}

// cachedOwner returns an owner as the cache knows it, nil if it does not.
func (c *Controller) cachedOwner(object metav1.Object, owner metav1.OwnerReference) (*kind, metav1.Object) {
	kind := c.kinds.of(owner)
	if kind == nil {
		return nil, nil
	}
	namespace := ""
	if kind.namespaced {
		namespace = object.GetNamespace()
	}
	if cached := kind.get(namespace, owner.Name); cached != nil && cached.GetUID() == owner.UID {
		return kind, cached
	}
	return kind, nil
}
