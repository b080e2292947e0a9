package scheduler

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/render"
)

// claimNode is the annotation of a DaemonSet whose pods may move others of equal
// priority out of their way, if these can run elsewhere.
const claimNode = "garrison.dev/claim-node"

// makeRoom decides who leaves for a pod that fits nowhere, and keeps their room
// for it.
func (s *Scheduler) makeRoom(a *attempt) error {
	subject := a.entry.subject
	budgets, err := s.budgets.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list PodDisruptionBudgets: %w", err)
	}
	a.preemption = s.cluster.Preempt(subject, a.decision, budgets)
	if a.preemption.Node == "" && !a.preemption.Never && s.mayClaim(a.pod) {
		if claim := s.cluster.Displace(subject, a.decision, budgets); claim.Node != "" {
			a.preemption, a.claims = claim, true
		}
	}
	s.cluster.Denominate(subject.Key)
	if a.preemption.Node != "" {
		s.cluster.Nominate(subject, a.preemption.Node)
	}
	return nil
}

// mayClaim reports whether the pod is of a DaemonSet with the annotation.
func (s *Scheduler) mayClaim(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil || owner.Kind != "DaemonSet" {
		return false
	}
	ds, err := s.daemons.DaemonSets(pod.Namespace).Get(owner.Name)
	return err == nil && ds.UID == owner.UID && claims(ds)
}

func claims(ds *appsv1.DaemonSet) bool { return ds.Annotations[claimNode] == "true" }

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
		Message:            s.name + ": " + a.purpose(),
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

// purpose is what a victim leaves for.
func (a *attempt) purpose() string {
	if a.claims {
		return "preempting to accommodate a daemon pod that cannot run elsewhere"
	}
	return "preempting to accommodate a higher priority pod"
}

// explain tells the pod why it is not bound, and which node it is promised.
func (s *Scheduler) explain(ctx context.Context, a *attempt) error {
	message := render.Unschedulable(a.decision)
	if more := render.Preemption(a.preemption); more != "" {
		message += " " + more
	}
	err := s.tell(ctx, a, corev1.PodReasonUnschedulable, message)
	if err != nil {
		s.again(a.entry)
	}
	return unlessOvertaken(err)
}

// reportFault tells the pod of an error that is not of its making. It returns
// the error, unless an event has overtaken it.
func (s *Scheduler) reportFault(ctx context.Context, a *attempt, fault error) error {
	if unlessOvertaken(fault) == nil || ctx.Err() != nil {
		return nil
	}
	return errors.Join(fault, unlessOvertaken(s.tell(ctx, a, corev1.PodReasonSchedulerError, fault.Error())))
}

// tell sets the PodScheduled condition to False, if that says anything new, and
// writes an event that says the same.
func (s *Scheduler) tell(ctx context.Context, a *attempt, reason, message string) error {
	status, changed := withCondition(&a.pod.Status, corev1.PodCondition{
		Type:               corev1.PodScheduled,
		Status:             corev1.ConditionFalse,
		Reason:             reason,
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
		return fmt.Errorf("set the PodScheduled condition of pod %s/%s: %w", pod.Namespace, pod.Name, err)
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
