package daemonset

import (
	"cmp"
	"maps"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/cacheindex"
	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/prepull"
	"github.com/garrison-project/garrison/internal/view"
)

// watch subscribes to everything that may concern a DaemonSet.
func (c *Controller) watch(f informers.SharedInformerFactory) error {
	pods := f.Core().V1().Pods().Informer()
	revisions := f.Apps().V1().ControllerRevisions().Informer()
	if err := c.index(pods); err != nil {
		return err
	}
	for _, source := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{f.Apps().V1().DaemonSets().Informer(), handlers(c.setAdded, c.setUpdated, c.setDeleted)},
		{pods, handlers(c.podAdded, c.podUpdated, c.podDeleted)},
		{revisions, handlers(c.revisionAdded, c.revisionUpdated, c.revisionDeleted)},
		{f.Core().V1().Nodes().Informer(), handlers(c.nodeAdded, c.nodeUpdated, c.nodeDeleted)},
		{f.Core().V1().Namespaces().Informer(), handlers(c.namespaceSeen, c.namespaceUpdated, c.namespaceSeen)},
		// Looked up, not acted upon.
		{f.Policy().V1().PodDisruptionBudgets().Informer(), cache.ResourceEventHandlerFuncs{}},
	} {
		registration, err := source.informer.AddEventHandler(source.handler)
		if err != nil {
			return err
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return nil
}

func (c *Controller) index(pods cache.SharedIndexInformer) error {
	if err := cacheindex.AddByOwner(pods); err != nil {
		return err
	}
	if err := cacheindex.AddPodsByNode(pods); err != nil {
		return err
	}
	return cacheindex.AddOrphans(pods)
}

// handlers makes typed functions of event handlers; deletions that were missed
// come with the last state known.
func handlers[T any](added func(T), updated func(old, now T), deleted func(T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { added(object.(T)) },
		UpdateFunc: func(old, now any) { updated(old.(T), now.(T)) },
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			if last, ok := object.(T); ok {
				deleted(last)
			}
		},
	}
}

// watched is what event handlers know of the DaemonSets.
type watched struct {
	mu   sync.Mutex
	sets map[types.NamespacedName]*watchedSet
}

type watchedSet struct {
	// subject answers for which nodes an event matters.
	subject *place.Subject
	// status is the last that was written here: its arrival is no news.
	status *appsv1.DaemonSetStatus
	// awaiting: a turn is waiting for the caches, so everything is news.
	awaiting bool
}

func newWatched() *watched { return &watched{sets: map[types.NamespacedName]*watchedSet{}} }

// put notes a DaemonSet's present template.
func (w *watched) put(key types.NamespacedName, subject *place.Subject) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sets[key] == nil {
		w.sets[key] = &watchedSet{}
	}
	w.sets[key].subject = subject
}

func (w *watched) drop(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sets, key)
}

// await notes whether a turn waits for the caches.
func (w *watched) await(key types.NamespacedName, awaiting bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.sets[key]; s != nil {
		s.awaiting = awaiting
	}
}

// wrote notes a status that is being written.
func (w *watched) wrote(key types.NamespacedName, status *appsv1.DaemonSetStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.sets[key]; s != nil {
		s.status = status
	}
}

// knows reports whether an update brings only a status that was written here.
func (w *watched) knows(old, now *appsv1.DaemonSet) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sets[keyOf(now)]
	return s != nil && !s.awaiting && s.status != nil &&
		old.UID == now.UID && old.Generation == now.Generation && maps.Equal(old.Annotations, now.Annotations) &&
		(old.DeletionTimestamp == nil) == (now.DeletionTimestamp == nil) &&
		equality.Semantic.DeepEqual(&now.Status, s.status)
}

// awaits reports whether a turn waits for the caches.
func (w *watched) awaits(key types.NamespacedName) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sets[key]
	return s != nil && s.awaiting
}

// concerned returns the DaemonSets for which the change of a node matters, apart
// from those with pods on it; old or now is nil if it came or went. That a pod
// could stay where none may come is no news where there is none, so a node that
// joins with the usual taints prompts nothing before it is ready.
func (w *watched) concerned(old, now *corev1.Node) []types.NamespacedName {
	w.mu.Lock()
	defer w.mu.Unlock()
	sick := old != nil && now != nil && view.HealthChanged(old, now)
	var keys []types.NamespacedName
	for key, s := range w.sets {
		before, after := stand(s.subject, old), stand(s.subject, now)
		opened := before.Verdict == rollout.Leave && after.Verdict == rollout.Keep
		// In another domain, a node has the company of other pods.
		moved := old != nil && now != nil && s.subject.FollowsPods() && !maps.Equal(old.Labels, now.Labels)
		if before != after && !opened || moved || sick && after.Verdict == rollout.Run {
			keys = append(keys, key)
		}
	}
	return keys
}

func stand(subject *place.Subject, node *corev1.Node) view.Standing {
	if node == nil {
		return view.Standing{Verdict: rollout.Leave}
	}
	return view.Stand(subject, node)
}

func keyOf(object metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}

func (c *Controller) setAdded(ds *appsv1.DaemonSet) {
	c.templateSeen(ds)
	c.enqueue(keyOf(ds))
}

func (c *Controller) templateSeen(ds *appsv1.DaemonSet) {
	key, subject := keyOf(ds), place.ForRevision(ds, view.TemplateHash(ds))
	c.watched.put(key, subject)
	c.surroundings.follow(key, subject)
}

func (c *Controller) setUpdated(old, now *appsv1.DaemonSet) {
	if old.UID != now.UID || old.Generation != now.Generation ||
		ptr.Deref(old.Status.CollisionCount, 0) != ptr.Deref(now.Status.CollisionCount, 0) {
		c.templateSeen(now)
	}
	if !c.watched.knows(old, now) {
		c.enqueue(keyOf(now))
	}
}

func (c *Controller) setDeleted(ds *appsv1.DaemonSet) {
	c.watched.drop(keyOf(ds))
	c.surroundings.unfollow(keyOf(ds))
	c.enqueue(keyOf(ds))
}

func (c *Controller) nodeAdded(node *corev1.Node) {
	c.enqueueAll(c.surroundings.nodeChanged(node.Name)) // first, so that it knows every node of the roster
	c.roster.set(node)
	c.nodeChanged(nil, node)
}

func (c *Controller) nodeUpdated(old, now *corev1.Node) {
	c.enqueueAll(c.surroundings.nodeChanged(now.Name))
	if !place.EligibilityChanged(old, now) && !view.HealthChanged(old, now) && prepull.Able(old) == prepull.Able(now) {
		return // a heartbeat
	}
	c.roster.set(now)
	c.nodeChanged(old, now)
}

func (c *Controller) nodeDeleted(node *corev1.Node) {
	c.roster.remove(node.Name)
	c.enqueueAll(c.surroundings.nodeChanged(node.Name))
	c.nodeChanged(node, nil)
}

// nodeChanged asks for a turn for every DaemonSet that the change of a node
// concerns, or that has a pod there.
func (c *Controller) nodeChanged(old, now *corev1.Node) {
	c.enqueueAll(c.watched.concerned(old, now))
	pods, err := cacheindex.PodsOnNode(c.podIndex, cmp.Or(old, now).Name)
	if err != nil {
		return // the index was added in New
	}
	for _, pod := range pods {
		c.ownerTurn(pod)
	}
}

func (c *Controller) enqueueAll(keys []types.NamespacedName) {
	for _, key := range keys {
		c.enqueue(key)
	}
}

func (c *Controller) namespaceSeen(ns *corev1.Namespace) {
	c.enqueueAll(c.surroundings.namespaceChanged(ns.Name))
}

func (c *Controller) namespaceUpdated(_, now *corev1.Namespace) { c.namespaceSeen(now) }

// ownerTurn asks for a turn for the DaemonSet that controls an object, and
// reports whether anything controls it.
func (c *Controller) ownerTurn(object metav1.Object) bool {
	ref := metav1.GetControllerOfNoCopy(object)
	if ref == nil {
		return false
	}
	if ref.Kind == "DaemonSet" {
		key := types.NamespacedName{Namespace: object.GetNamespace(), Name: ref.Name}
		if ds, err := c.sets.DaemonSets(key.Namespace).Get(key.Name); err == nil && ds.UID == ref.UID {
			c.enqueue(key)
		}
	}
	return true
}

// orphanSeen asks for a turn for every DaemonSet that may adopt the object.
func (c *Controller) orphanSeen(object metav1.Object) {
	sets, err := c.sets.DaemonSets(object.GetNamespace()).List(labels.Everything())
	if err != nil {
		return // a lister that reads from memory does not fail
	}
	for _, ds := range sets {
		selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(object.GetLabels())) {
			c.enqueue(keyOf(ds))
		}
	}
}

func (c *Controller) podAdded(pod *corev1.Pod) {
	c.enqueueAll(c.surroundings.podChanged(keyOf(pod)))
	if !c.ownerTurn(pod) && pod.DeletionTimestamp == nil {
		c.orphanSeen(pod)
	}
}

func (c *Controller) podUpdated(old, now *corev1.Pod) {
	c.enqueueAll(c.surroundings.podChanged(keyOf(now)))
	relabelled := !maps.Equal(old.Labels, now.Labels)
	moved := !equality.Semantic.DeepEqual(old.OwnerReferences, now.OwnerReferences)
	if !relabelled && !moved && !view.PodChanged(old, now) {
		return
	}
	if moved {
		c.ownerTurn(old)
	}
	if !c.ownerTurn(now) && (relabelled || moved) {
		c.orphanSeen(now)
	}
}

func (c *Controller) podDeleted(pod *corev1.Pod) {
	c.enqueueAll(c.surroundings.podChanged(keyOf(pod)))
	c.ownerTurn(pod)
}

// revisionAdded asks for no turn for a revision that has an owner: this
// controller has made it, or someone who wants to see it before it is merged.
func (c *Controller) revisionAdded(r *appsv1.ControllerRevision) {
	ref := metav1.GetControllerOfNoCopy(r)
	if ref == nil {
		c.orphanSeen(r)
		return
	}
	key := types.NamespacedName{Namespace: r.Namespace, Name: ref.Name}
	if c.watched.awaits(key) {
		c.enqueue(key)
	}
}

func (c *Controller) revisionUpdated(old, now *appsv1.ControllerRevision) {
	if old.ResourceVersion == now.ResourceVersion {
		return
	}
	c.ownerTurn(old)
	if !c.ownerTurn(now) {
		c.orphanSeen(now)
	}
}

func (c *Controller) revisionDeleted(r *appsv1.ControllerRevision) { c.ownerTurn(r) }
