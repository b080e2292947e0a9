// Package ownergc is the garbage collector of owner references: it deletes
// what has lost its last owner, and holds back the deletion of an owner that
// asked for it until its dependents are deleted (foreground) or set free
// (orphan).
//
// It leaves to the API server to set and check the finalizers, and to podgc
// the pods whose node is gone.
package ownergc

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/garrison-project/garrison/internal/loop"
)

// Writer deletes pods, which are most of what is collected.
type Writer interface {
	DeletePod(ctx context.Context, name types.NamespacedName, options metav1.DeleteOptions) error
}

// Options are what a Controller needs. All but the clock are required.
type Options struct {
	Discovery discovery.DiscoveryInterface // asked once, by New
	Metadata  metadata.Interface           // reads, patches and deletes of all kinds
	Informers informers.SharedInformerFactory
	Writer    Writer
	Clock     clock.WithTicker // default: the system's
}

const (
	// workers is how many objects are dealt with at once. Most of a deletion
	// is waiting for the disk, and many at once share one wait.
	workers = 32
	// awaitPause gathers the ends of many dependents into one look at their
	// owner, which costs as much as it has dependents.
	awaitPause = 50 * time.Millisecond
	// remembered is how many owners are known to be gone without asking.
	remembered = 4096
)

// Key names an object to look at.
type Key struct {
	Resource schema.GroupVersionResource
	types.NamespacedName
}

// Controller collects garbage.
type Controller struct {
	Options
	kinds  *kinds
	loop   *loop.Loop[Key]
	synced []cache.InformerSynced
	// gone remembers owners that do not come back: UIDs are used once. The
	// value is standingAbsent, or standingOrphan for owners that were released
	// while a dependent may have been too new to be seen.
	gone *lru.Cache
}

// New prepares a collector; the informers may be started afterwards.
func New(options Options) (*Controller, error) {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	c := &Controller{Options: options, gone: lru.New(remembered)}
	c.loop = loop.New(loop.Options[Key]{Name: "garbage collector", Workers: workers, Step: c.Step, Clock: options.Clock})
	var err error
	if c.kinds, err = findKinds(options.Discovery, options.Informers); err != nil {
		return nil, err
	}
	for _, kind := range c.kinds.all {
		registration, err := kind.informer.AddEventHandler(c.handler(kind))
		if err != nil {
			return nil, fmt.Errorf("watch %s for garbage: %w", kind.gvr, err)
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return c, nil
}

// Run collects until ctx is done. It judges nothing before it has seen
// everything.
func (c *Controller) Run(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		return
	}
	c.loop.Run(ctx)
}

// Step judges one object once.
func (c *Controller) Step(ctx context.Context, key Key) (time.Time, error) {
	kind := c.kinds.byGVR[key.Resource]
	object := kind.get(key.Namespace, key.Name)
	if object == nil {
		return time.Time{}, nil
	}
	if err := c.judge(ctx, dependent{kind: kind, object: object}); err != nil && !apierrors.IsNotFound(err) {
		return time.Time{}, fmt.Errorf("collect %s %s: %w", key.Resource.Resource, key.NamespacedName, err)
	}
	return time.Time{}, nil
}

// judge looks at an object, decides and acts.
func (c *Controller) judge(ctx context.Context, it dependent) error {
	dependents, err := c.kinds.dependents(it.object.GetUID())
	if err != nil {
		return err
	}
	in := survey(it.object, dependents)
	if !in.BeingDeleted {
		if in.References, err = c.references(ctx, it); err != nil {
			return err
		}
	}
	v := decide(in)
	if v.Await {
		c.wake(dependents)
		return nil
	}
	return c.act(ctx, it, v)
}

// survey gathers what the caches tell about an object.
func survey(object metav1.Object, dependents []dependent) item {
	in := item{
		BeingDeleted: object.GetDeletionTimestamp() != nil,
		Finalizers:   object.GetFinalizers(),
		Dependents:   len(dependents),
	}
	for _, d := range dependents {
		if d.object.GetDeletionTimestamp() == nil {
			in.Staying++
		}
		if blocks(d.object, object.GetUID()) {
			in.Blocking++
		}
		in.Cyclic = in.Cyclic || awaits(d.object) == standingForeground
	}
	for _, owner := range object.GetOwnerReferences() {
		in.HoldsUp = in.HoldsUp || blocks(object, owner.UID)
	}
	return in
}

// wake has the dependents looked at that are not on their way out already.
func (c *Controller) wake(dependents []dependent) {
	for _, d := range dependents {
		if d.object.GetDeletionTimestamp() == nil {
			c.loop.Add(keyOf(d.kind, d.object))
		}
	}
}

// references finds out how things are with the owners of an object.
func (c *Controller) references(ctx context.Context, it dependent) ([]reference, error) {
	var found []reference
	for _, owner := range it.object.GetOwnerReferences() {
		standing, err := c.standing(ctx, it, owner)
		if err != nil {
			return nil, fmt.Errorf("look for owner %s %s: %w", owner.Kind, owner.Name, err)
		}
		found = append(found, reference{Owner: owner.UID, Standing: standing})
	}
	return found, nil
}

// standing finds out how things are with one owner. That it exists may be
// taken from the cache, for its end will be an event; that it does not exist is
// believed only of a delete event or of the API itself.
func (c *Controller) standing(ctx context.Context, it dependent, owner metav1.OwnerReference) (standing, error) {
	kind := c.kinds.of(owner)
	if kind == nil || kind.namespaced && it.object.GetNamespace() == "" {
		return standingUnknown, nil
	}
	if fate, known := c.gone.Get(owner.UID); known {
		return fate.(standing), nil
	}
	namespace := ""
	if kind.namespaced {
		namespace = it.object.GetNamespace()
	}
	if cached := kind.get(namespace, owner.Name); cached != nil && cached.GetUID() == owner.UID {
		return awaits(cached), nil
	}
	live, err := c.Metadata.Resource(kind.gvr).Namespace(namespace).Get(ctx, owner.Name, metav1.GetOptions{})
	switch {
	case err == nil && live.UID == owner.UID:
		return awaits(live), nil
	case err == nil || apierrors.IsNotFound(err):
		c.gone.Add(owner.UID, standingAbsent)
		return standingAbsent, nil
	}
	return standingUnknown, err
}

// awaits tells what an existing object means to its dependents.
func awaits(owner metav1.Object) standing {
	if owner.GetDeletionTimestamp() == nil {
		return standingSolid
	}
	switch finalizers := owner.GetFinalizers(); {
	case has(finalizers, metav1.FinalizerOrphanDependents):
		return standingOrphan
	case has(finalizers, metav1.FinalizerDeleteDependents):
		return standingForeground
	}
	return standingSolid
}

// blocks tells whether an object holds up the foreground deletion of an owner.
func blocks(object metav1.Object, owner types.UID) bool {
	for _, r := range object.GetOwnerReferences() {
		if r.UID == owner && r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion {
			return true
		}
	}
	return false
}

func keyOf(kind *kind, object metav1.Object) Key {
	return Key{Resource: kind.gvr, NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}}
}
