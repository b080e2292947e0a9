package scheduler

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/core/place"
)

// Step takes the pod that is due first, decides where it goes and does it. It
// returns when to step again: now while pods are due, zero if only an event
// can bring the next one. It starts nothing and never sleeps; several
// goroutines may step at once.
func (s *Scheduler) Step(ctx context.Context) (time.Time, error) {
	a, err := s.decide()
	switch {
	case a == nil:
	case a.decision.Node != "":
		err = s.bind(ctx, a)
	default:
		err = s.refuse(ctx, a)
	}
	return s.nextWake(), err
}

// attempt is one pod's turn. Unlike its entry it does not change when events
// come in, so it may be read without the lock.
type attempt struct {
	entry      *entry
	pod        *corev1.Pod
	decision   place.Decision
	preemption place.Preemption
	// claims is set if the victims are of equal priority and could run
	// elsewhere, which the pod could not.
	claims bool
}

// decide takes the next pod and books the decision: a pod that found its node
// counts there from now on, one that did not waits for a reason to try again,
// and has room kept for it if preemption makes some.
func (s *Scheduler) decide() (*attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.queue.pop(s.clock.Now())
	if e == nil {
		return nil, nil
	}
	if s.queue.due.Len() > 0 {
		s.wakeWorker()
	}
	if e.stored {
		// No event has ever told of it: it is not there.
		s.forget(e.subject.Key)
		return nil, nil
	}
	// Should the decision fail, the pod must not be lost.
	s.queue.retry(e)
	a := &attempt{entry: e, pod: e.pod, decision: s.cluster.Schedule(e.subject)}
	if a.decision.Node != "" {
		s.queue.move(e, held)
		s.book(e.subject, a.decision.Node)
		return a, nil
	}
	if err := s.makeRoom(a); err != nil {
		return nil, err
	}
	s.queue.park(e, refusedBy(a.decision), s.clock.Now())
	return a, nil
}

// book counts a pod on the node that was decided.
func (s *Scheduler) book(pod *place.Subject, node string) {
	s.cluster.Place(pod, node)
	s.changed(change{filters: place.CompanyFilters})
}

// refusedBy collects the filters that may let the pod through when something
// changes. The name is always among them: a node of another name may come.
func refusedBy(d place.Decision) place.FilterSet {
	set := place.FilterSet(0).With(place.NodeNameFilter)
	for _, refusal := range d.Refusals {
		for _, r := range refusal.Reasons {
			set = set.With(r.Filter())
		}
	}
	return set
}

func (s *Scheduler) nextWake() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.next(s.clock.Now())
}

// bind writes the binding. The UID makes sure that it is this pod and not
// another of its name.
func (s *Scheduler) bind(ctx context.Context, a *attempt) error {
	pod, node := a.pod, a.decision.Node
	err := s.writer.BindPod(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	})
	if err != nil {
		s.takeBack(a)
		return s.reportFault(ctx, a, fmt.Errorf("bind pod %s/%s to %s: %w", pod.Namespace, pod.Name, node, err))
	}
	s.release(a.entry)
	s.recorder.record(pod, scheduledOn(pod, node))
	return nil
}

func scheduledOn(pod *corev1.Pod, node string) note {
	return note{
		kind: corev1.EventTypeNormal, reason: "Scheduled", action: "Binding", routine: true,
		text: fmt.Sprintf("Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, node),
	}
}

// release forgets a pod that was bound.
func (s *Scheduler) release(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.has(e) {
		s.queue.remove(e.subject.Key)
		s.cluster.Denominate(e.subject.Key)
	}
}

// takeBack undoes the booking of a binding that failed, and tries again later.
// If an event has overtaken the answer, it knew better.
func (s *Scheduler) takeBack(a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.has(a.entry) {
		s.cluster.Remove(a.entry.subject.Key)
		s.queue.retry(a.entry)
		s.left(a.decision.Node)
	}
}

// again lets a pod wait for its backoff only, if it is still waiting.
func (s *Scheduler) again(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.has(e) && e.state == waiting {
		s.queue.retry(e)
	}
}

// unlessOvertaken drops an error that only says that a pod has changed or gone
// meanwhile, of which an event tells.
func unlessOvertaken(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
