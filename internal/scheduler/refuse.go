package scheduler

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/render"
)

// refuse deals with a pod that fits nowhere: it makes room for it by deleting
// the victims, if there are any, and tells the pod where it stands.
func (s *Scheduler) refuse(ctx context.Context, a *attempt) error {
	for _, victim := range a.preemption.Victims {
		if err := s.evict(ctx, victim, a); err != nil {
			s.again(a.entry)
			return unlessOvertaken(err)
		}
	}
	return s.explain(ctx, a)
}

// evict marks a victim as disrupted and deletes it, gracefully.
func (s *Scheduler) evict(ctx context.Context, key types.NamespacedName, a *attempt) error {
	victim, err := s.pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) || err == nil && victim.DeletionTimestamp != nil {
		return nil // it leaves by itself
	}
	if err != nil {
		return fmt.Errorf("look up pod %s: %w", key, err)
	}
	status, changed := withCondition(&victim.Status, corev1.PodCondition{
		Type:               corev1.DisruptionTarget,
		Status:             corev1.ConditionTrue,
		Reason:             corev1.PodReasonPreemptionByScheduler,
		Message:            s.name + ": preempting to accommodate a higher priority pod",
		ObservedGeneration: victim.Generation,
	}, metav1.NewTime(s.clock.Now()))
	if changed {
		marked := victim.DeepCopy()
		marked.Status = *status
		if _, err := s.writer.UpdatePodStatus(ctx, marked); err != nil {
			return fmt.Errorf("set the DisruptionTarget condition of pod %s: %w", key, err)
		}
	}
	err = s.writer.DeletePod(ctx, key, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &victim.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("preempt pod %s: %w", key, err)
	}
	s.recorder.record(victim, note{
		kind: corev1.EventTypeNormal, reason: "Preempted", action: "Preempting", related: a.pod,
		text: fmt.Sprintf("Preempted by pod %s on node %s", a.pod.UID, a.preemption.Node),
	})
	return nil
}

// explain tells the pod why it is not bound, and which node it is promised. It
// says so again only when there is something new to say.
func (s *Scheduler) explain(ctx context.Context, a *attempt) error {
	message := render.Unschedulable(a.decision)
	if more := render.Preemption(a.preemption); more != "" {
		message += " " + more
	}
	status, changed := withCondition(&a.pod.Status, corev1.PodCondition{
		Type:               corev1.PodScheduled,
		Status:             corev1.ConditionFalse,
		Reason:             corev1.PodReasonUnschedulable,
		Message:            message,
		ObservedGeneration: a.pod.Generation,
	}, metav1.NewTime(s.clock.Now()))
	if !changed && status.NominatedNodeName == a.preemption.Node {
		return nil
	}
	pod := a.pod.DeepCopy()
	pod.Status = *status
	pod.Status.NominatedNodeName = a.preemption.Node
	if _, err := s.writer.UpdatePodStatus(ctx, pod); err != nil {
		s.again(a.entry)
		return unlessOvertaken(fmt.Errorf("set the PodScheduled condition of pod %s/%s: %w", pod.Namespace, pod.Name, err))
	}
	s.recorder.record(a.pod, note{
		kind: corev1.EventTypeWarning, reason: "FailedScheduling", action: "Scheduling", text: message,
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
