package scheduler

import (
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/core/place"
)

// watch registers the handlers that keep cluster and queue up to date.
func (s *Scheduler) watch(factory informers.SharedInformerFactory) error {
	core := factory.Core().V1()
	handlers := []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{core.Namespaces().Informer(), handler(s.setNamespace, s.removeNamespace)},
		{core.Nodes().Informer(), handler(s.setNode, s.removeNode)},
		{core.Pods().Informer(), handler(s.setPod, s.removePod)},
		{factory.Apps().V1().DaemonSets().Informer(), cache.ResourceEventHandlerFuncs{
			UpdateFunc: func(old, now any) { s.daemonSetChanged(old.(*appsv1.DaemonSet), now.(*appsv1.DaemonSet)) },
		}},
		// Looked up, not acted upon.
		{factory.Policy().V1().PodDisruptionBudgets().Informer(), cache.ResourceEventHandlerFuncs{}},
	}
	for _, h := range handlers {
		registration, err := h.informer.AddEventHandler(h.handler)
		if err != nil {
			return fmt.Errorf("scheduler: watch: %w", err)
		}
		s.watches = append(s.watches, watch{informer: h.informer, registration: registration})
	}
	return nil
}

func (s *Scheduler) unwatch() {
	for _, w := range s.watches {
		// Fails only for a registration of another informer.
		_ = w.informer.RemoveEventHandler(w.registration)
	}
}

// handler tells states from removals; for the scheduler it makes no difference
// whether an object is new to the informer.
func handler[T any](set, remove func(T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { set(obj.(T)) },
		UpdateFunc: func(_, obj any) { set(obj.(T)) },
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			remove(obj.(T))
		},
	}
}

// daemonSetChanged hastens the pods of a DaemonSet that may claim their nodes from
// now on.
func (s *Scheduler) daemonSetChanged(old, now *appsv1.DaemonSet) {
	if !claims(now) || claims(old) && old.UID == now.UID {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.wakeOwned(now.UID, s.clock.Now()) {
		s.wakeWorker()
	}
}

func (s *Scheduler) setNamespace(ns *corev1.Namespace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster.SetNamespace(ns.Name, ns.Labels)
	s.changed(change{filters: place.CompanyFilters})
}

func (s *Scheduler) removeNamespace(ns *corev1.Namespace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster.SetNamespace(ns.Name, nil)
}

func (s *Scheduler) setNode(n *corev1.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.cluster.Node(n.Name)
	s.cluster.SetNode(n)
	if filters := openedBy(old, n); filters != 0 {
		s.changed(change{filters: filters, node: n.Name})
	}
	if old == nil || !maps.Equal(old.Labels, n.Labels) {
		// Its pods are in other domains now.
		s.changed(change{filters: place.CompanyFilters})
	}
}

// openedBy tells which filters may let pods onto a node now that did not before;
// old is nil for a new node.
func openedBy(old, n *corev1.Node) place.FilterSet {
	if old == nil {
		return place.AllFilters
	}
	var set place.FilterSet
	if !maps.Equal(old.Labels, n.Labels) {
		set = set.With(place.NodeAffinityFilter)
	}
	if !equality.Semantic.DeepEqual(old.Spec.Taints, n.Spec.Taints) {
		set = set.With(place.TaintFilter)
	}
	if old.Spec.Unschedulable && !n.Spec.Unschedulable {
		set = set.With(place.NodeUnschedulableFilter)
	}
	if !equality.Semantic.DeepEqual(old.Status.Allocatable, n.Status.Allocatable) {
		set = set.With(place.ResourceFilter)
	}
	return set
}

func (s *Scheduler) removeNode(n *corev1.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster.RemoveNode(n.Name)
	s.changed(change{filters: place.CompanyFilters})
}

func (s *Scheduler) setPod(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ended(pod):
		s.forget(keyOf(pod))
	case pod.Spec.NodeName != "":
		s.queue.remove(keyOf(pod))
		s.cluster.Denominate(keyOf(pod))
		s.placed(pod)
	default:
		s.unplaced(pod)
	}
}

// placed notes a pod that is on a node. Most updates are of its status, and
// change nothing for others.
func (s *Scheduler) placed(pod *corev1.Pod) {
	subject, node := place.ForPod(pod), pod.Spec.NodeName
	old, was := s.cluster.Placed(subject.Key)
	if old != nil && was == node && subject.Equivalent(old) {
		return
	}
	s.cluster.Place(subject, node)
	opened := subject.OpenedBy(old)
	if old != nil && was != node {
		opened |= place.CompanyFilters
		s.changed(change{filters: place.RoomFilters, node: was})
	}
	s.changed(change{filters: opened & place.CompanyFilters})
	s.changed(change{filters: opened & place.RoomFilters, node: node})
}

// unplaced queues a pod without a node, if it is for this scheduler to place.
func (s *Scheduler) unplaced(pod *corev1.Pod) {
	key := keyOf(pod)
	booked, _ := s.cluster.Placed(key)
	e := s.queue.entries[key]
	if (booked != nil && booked.UID != pod.UID) || (e != nil && e.pod.UID != pod.UID) {
		// Another pod of the name: what is known of the first is void.
		s.forget(key)
		booked, e = nil, nil
	}
	switch {
	case !s.responsibleFor(pod):
		s.forget(key)
	case booked != nil:
		// A step is binding it or has; this state is older than that.
	case e == nil:
		s.nominate(s.queue.add(pod))
		s.wakeWorker()
	case asksAnew(e.pod, pod):
		s.queue.amend(e, pod, s.clock.Now())
		s.nominate(e)
		s.wakeWorker()
	default:
		e.pod = pod
	}
}

// nominate keeps room for a pod that was promised some, by an earlier run of
// the scheduler.
func (s *Scheduler) nominate(e *entry) {
	if node := e.pod.Status.NominatedNodeName; node != "" {
		s.cluster.Nominate(e.subject, node)
	}
}

// responsibleFor reports whether the pod waits for this scheduler.
func (s *Scheduler) responsibleFor(pod *corev1.Pod) bool {
	return pod.Spec.SchedulerName == s.name &&
		pod.DeletionTimestamp == nil && len(pod.Spec.SchedulingGates) == 0
}

// asksAnew reports whether anything changed that placement reads of a pod.
func asksAnew(old, pod *corev1.Pod) bool {
	return !maps.Equal(old.Labels, pod.Labels) || !equality.Semantic.DeepEqual(old.Spec, pod.Spec)
}

func (s *Scheduler) removePod(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(keyOf(pod))
}

// forget drops a pod wherever it is known, and frees what it had.
func (s *Scheduler) forget(key types.NamespacedName) {
	s.queue.remove(key)
	if node := s.cluster.Denominate(key); node != "" {
		s.changed(change{filters: place.RoomFilters, node: node})
	}
	if placed, node := s.cluster.Placed(key); placed != nil {
		s.cluster.Remove(key)
		s.left(node)
	}
}

// left hastens the pods that may follow when a pod has left a node.
func (s *Scheduler) left(node string) {
	s.changed(change{filters: place.RoomFilters, node: node})
	s.changed(change{filters: place.CompanyFilters})
}

// changed hastens the pods that a change may help.
func (s *Scheduler) changed(c change) {
	if c.filters != 0 && s.queue.wake(c, s.clock.Now()) {
		s.wakeWorker()
	}
}

// ended reports whether the pod has stopped for good: it takes nothing any
// more.
func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func keyOf(pod *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
}
