package scheduler

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/render"
)

// Step takes the pod that is due first, decides where it goes and does it. It
// returns when to step again: now while pods are due, zero if only an event
// can bring the next one. It starts nothing and never sleeps; several
// goroutines may step at once.
func (s *Scheduler) Step(ctx context.Context) (time.Time, error) {
	a := s.decide()
	var err error
	switch {
	case a == nil:
	case a.decision.Node != "":
		err = s.bind(ctx, a)
	default:
		err = s.explain(ctx, a)
	}
	return s.nextWake(), err
}

// attempt is one pod's turn. Unlike its entry it does not change when events
// come in, so it may be read without the lock.
type attempt struct {
	entry    *entry
	pod      *corev1.Pod
	decision place.Decision
}

// decide takes the next pod and books the decision: a pod that found its node
// counts there from now on, one that did not waits for a reason to try again.
func (s *Scheduler) decide() *attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.queue.pop(s.clock.Now())
	if e == nil {
		return nil
	}
	if s.queue.due.Len() > 0 {
		s.wakeWorker()
	}
	// Should the decision panic, the pod must not be lost.
	s.queue.retry(e)
	d := s.cluster.Schedule(e.subject)
	if d.Node == "" {
		s.queue.park(e, refusedBy(d), s.clock.Now())
	} else {
		s.queue.move(e, held)
		s.cluster.Place(e.subject, d.Node)
	}
	return &attempt{entry: e, pod: e.pod, decision: d}
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
		return tolerable(err, "bind pod %s/%s to %s", pod.Namespace, pod.Name, node)
	}
	s.release(a.entry)
	s.recorder.record(pod, note{
		kind: corev1.EventTypeNormal, reason: "Scheduled", action: "Binding",
		text: fmt.Sprintf("Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, node),
	})
	return nil
}

// release forgets a pod that was bound.
func (s *Scheduler) release(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.has(e) {
		s.queue.remove(e.subject.Key)
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
		s.changed(change{filters: place.RoomFilters, node: a.decision.Node})
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

// explain tells the pod why it is not bound. It says so again only when there
// is something new to say.
func (s *Scheduler) explain(ctx context.Context, a *attempt) error {
	condition := corev1.PodCondition{
		Type:               corev1.PodScheduled,
		Status:             corev1.ConditionFalse,
		Reason:             corev1.PodReasonUnschedulable,
		Message:            render.Unschedulable(a.decision),
		ObservedGeneration: a.pod.Generation,
	}
	status, changed := withCondition(&a.pod.Status, condition, metav1.NewTime(s.clock.Now()))
	if !changed {
		return nil
	}
	pod := a.pod.DeepCopy()
	pod.Status = *status
	if _, err := s.writer.UpdatePodStatus(ctx, pod); err != nil {
		s.again(a.entry)
		return tolerable(err, "set the PodScheduled condition of pod %s/%s", pod.Namespace, pod.Name)
	}
	s.recorder.record(a.pod, note{
		kind: corev1.EventTypeWarning, reason: "FailedScheduling", action: "Scheduling",
		text: condition.Message,
	})
	return nil
}

// withCondition returns the status with the condition set, and whether that
// changes anything. The argument is left as it is.
func withCondition(status *corev1.PodStatus, c corev1.PodCondition, now metav1.Time) (*corev1.PodStatus, bool) {
	c.LastTransitionTime = now
	out := status.DeepCopy()
	for i, old := range out.Conditions {
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		c.LastProbeTime = old.LastProbeTime
		out.Conditions[i] = c
		return out, old != c
	}
	out.Conditions = append(out.Conditions, c)
	return out, true
}

// tolerable wraps an error with the operation, unless it only says that the
// pod has changed or gone meanwhile, of which an event tells.
func tolerable(err error, operation string, args ...any) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf(operation+": %w", append(args, err)...)
}
