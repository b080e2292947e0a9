package scheduler

import (
	"fmt"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/core/place"
)

// maxUnseen is how long a pod that was stored with its node keeps its room
// without an event that tells of it: it may have gone while nobody watched.
const maxUnseen = time.Minute

// Place decides about a pod that an API server of this process is about to store.
// It returns a node if only that one will do for the pod and takes it as things
// are: such a pod, of a DaemonSet most often, can be stored bound, which saves the
// binding, its event and a decision. Any other has to wait in the queue, and so has
// one that would overtake others.
//
// With a node comes settle, to be called with the pod as stored, or with nil if it
// was not.
func (s *Scheduler) Place(pod *corev1.Pod) (node string, settle func(stored *corev1.Pod)) {
	defer func() {
		if cause := recover(); cause != nil {
			// The pod is stored without a node, and the queue sees to it.
			klog.Background().Error(fmt.Errorf("panic: %v\n%s", cause, debug.Stack()), "Placing a new pod failed", "pod", klog.KObj(pod))
			node, settle = "", nil
		}
	}()
	if _, pinned := place.PinnedNode(pod); !pinned || pod.Spec.NodeName != "" || !s.responsibleFor(pod) {
		return "", nil
	}
	subject := place.ForPod(pod)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running || s.knows(subject.Key) || s.queue.before(subject.Priority, s.clock.Now()) {
		return "", nil
	}
	decision := s.cluster.Schedule(subject)
	if decision.Node == "" {
		return "", nil
	}
	s.book(subject, decision.Node)
	e := s.queue.hold(pod, subject)
	return decision.Node, func(stored *corev1.Pod) { s.settle(e, decision.Node, stored) }
}

// knows reports whether a pod of the name is queued or on a node.
func (s *Scheduler) knows(key types.NamespacedName) bool {
	placed, _ := s.cluster.Placed(key)
	return placed != nil || s.queue.entries[key] != nil
}

// settle ends what Place began.
func (s *Scheduler) settle(e *entry, node string, stored *corev1.Pod) {
	if stored != nil {
		s.recorder.record(stored, scheduledOn(stored, node))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.queue.has(e):
		// An event has told what became of the pod.
	case stored != nil:
		if s.queue.await(e, s.clock.Now().Add(maxUnseen)); s.queue.waiting.entries[0] == e {
			s.wakeWorker() // it rests until a later time
		}
	default:
		s.forget(e.subject.Key)
	}
}
