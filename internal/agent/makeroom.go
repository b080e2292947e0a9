package agent

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubectl/pkg/util/qos"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// systemCritical is the least priority of those that are kept for the system.
const systemCritical = 2_000_000_000

// isCritical tells whether others have to leave the node if there is no room for a
// pod otherwise.
func isCritical(object *corev1.Pod) bool {
	return isStatic(object) || object.Spec.Priority != nil && *object.Spec.Priority >= systemCritical
}

// The words of kubelets for pods that had to leave.
const (
	preempting         = "Preempting"
	preemptedMessage   = "Preempted in order to admit critical pod"
	preemptedCondition = "Pod was preempted by Kubelet to accommodate a critical pod."
)

// occupants are the pods that take a part of the node.
type occupants struct {
	staying []occupant
	// leaving are on their way out; forgotten too, and nobody else waits for their end.
	leaving, forgotten []*place.Subject
}

func (a *Agent) occupants(except *pod) occupants {
	var all occupants
	for _, p := range a.roster.list() {
		p.mu.Lock()
		subject, object := p.subject, p.object
		// Of what has been reported to have ended, others believe that it takes nothing.
		forgotten := p.gone || p.report != nil && p.report.status.Phase.Ended()
		ending := p.failure != nil || object.DeletionTimestamp != nil
		p.mu.Unlock()
		switch {
		case subject == nil || p == except:
		case forgotten:
			former := *subject
			former.Key.Name += "/" + string(p.uid) // another may have its name by now
			all.forgotten = append(all.forgotten, &former)
		case ending:
			all.leaving = append(all.leaving, subject)
		default:
			all.staying = append(all.staying, occupant{p, occupantOf(object, subject)})
		}
	}
	return all
}

// occupant is a pod with its part of the node.
type occupant struct {
	pod *pod
	place.Occupant
}

func occupantOf(object *corev1.Pod, subject *place.Subject) place.Occupant {
	return place.Occupant{
		Subject: subject, Critical: isCritical(object), Ranked: object.Spec.Priority != nil, QOS: qos.GetPodQOS(object),
	}
}

func subjectsOf(occupants []occupant) []*place.Subject {
	var out []*place.Subject
	for _, o := range occupants {
		out = append(out, o.Subject)
	}
	return out
}

// makeRoom has pods leave for a critical one that the node is too full for. What
// keeps it from starting even so is returned; if that is nothing, it has its part of
// the node already and waits for the others' end.
func (a *Agent) makeRoom(p *pod, object *corev1.Pod, short []place.Reason, staying []occupant) *refusal {
	var others []place.Occupant
	for _, o := range staying {
		others = append(others, o.Occupant)
	}
	own := occupantOf(object, place.ForPod(object))
	victims, err := place.MakeRoom(own, short, others)
	if err != nil {
		return &refusal{"UnexpectedAdmissionError", fmt.Sprintf(
			"Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: %v", err)}
	}
	p.mu.Lock()
	p.subject = own.Subject
	p.mu.Unlock()
	if len(victims) > 0 {
		a.measures.preemptions.WithLabelValues(resourceOf(short[0])).Inc()
	}
	for _, victim := range victims {
		i := slices.IndexFunc(staying, func(o occupant) bool { return o.Subject == victim.Subject })
		a.preempt(staying[i].pod)
	}
	return nil
}

// resourceOf names what a node is short of.
func resourceOf(short place.Reason) string {
	if r, ok := short.(place.InsufficientResource); ok {
		return string(r.Name)
	}
	return string(corev1.ResourcePods)
}

// preempt has a pod leave for a critical one.
func (a *Agent) preempt(victim *pod) {
	object := victim.current()
	victim.mu.Lock()
	victim.disruption = &corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		Reason: corev1.PodReasonTerminationByKubelet, Message: preemptedCondition,
	}
	victim.mu.Unlock()
	a.tell(object, "", warning(preempting, preemptedMessage))
	a.Fail(object, podstep.Failure{Reason: preempting, Message: preemptedMessage})
}

// disrupted is the condition that says why a pod had to go, if it had to.
func (p *pod) disrupted() []corev1.PodCondition {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.disruption == nil {
		return nil
	}
	return []corev1.PodCondition{*p.disruption}
}
