package agent

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// Reference is what events about a pod are about, or about one of its containers.
func Reference(object *corev1.Pod, container string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		Kind: "Pod", APIVersion: "v1", Namespace: object.Namespace, Name: object.Name,
		UID: object.UID, ResourceVersion: object.ResourceVersion, FieldPath: fieldPath(object, container),
	}
}

// fieldPath is where a container stands in its pod.
func fieldPath(object *corev1.Pod, container string) string {
	field := "containers"
	for i := range object.Spec.InitContainers {
		if object.Spec.InitContainers[i].Name == container {
			field = "initContainers"
		}
	}
	for i := range object.Spec.EphemeralContainers {
		if object.Spec.EphemeralContainers[i].Name == container {
			field = "ephemeralContainers"
		}
	}
	if container == "" {
		return ""
	}
	return fmt.Sprintf("spec.%s{%s}", field, container)
}

// event is what is told of a pod.
type event struct{ kind, reason, message string }

func normal(reason, message string) event  { return event{corev1.EventTypeNormal, reason, message} }
func warning(reason, message string) event { return event{corev1.EventTypeWarning, reason, message} }

// tell writes an event about a pod, or about one of its containers.
func (a *Agent) tell(object *corev1.Pod, container string, e event) {
	if object.Spec.NodeName == "" {
		return // nobody asks for the pod, so nobody will look for its events
	}
	a.Recorder.Event(Reference(object, container), e.kind, e.reason, e.message)
}

// told are the events of a pod that need not be repeated.
type told struct {
	// pulled are the attempts for which an image was pulled, by container.
	pulled map[string]int
	// ending are the containers and sandboxes that were said to be ending, by ID.
	ending map[string]bool
	// waiting is the wait that was told last, by container.
	waiting map[string]string
	// deadline: that the pod was active too long.
	deadline bool
}

// tellBegun writes the events of an operation that begins. It belongs to the step.
func (a *Agent) tellBegun(p *pod, t *task) {
	switch t.Kind {
	case podstep.PullImage:
		set(&p.told.pulled, t.Container, t.Attempt)
		delete(p.told.waiting, t.Container)
		a.tell(t.pod, t.Container, normal("Pulling", fmt.Sprintf("Pulling image %q", t.Image)))
	case podstep.StartContainer:
		if attempt, pulled := p.told.pulled[t.Container]; !pulled || attempt != t.Attempt {
			a.tell(t.pod, t.Container, normal("Pulled", fmt.Sprintf(
				"Container image %q already present on machine and can be accessed by the pod", t.Image)))
		}
	case podstep.RunPreStop, podstep.KillContainer:
		if !p.told.ending[t.ID] {
			set(&p.told.ending, t.ID, true)
			a.tell(t.pod, t.Container, normal("Killing", killing(t)))
		}
	case podstep.StopSandbox:
		if t.Why == podstep.SandboxDied && !p.told.ending[t.ID] {
			set(&p.told.ending, t.ID, true)
			a.tell(t.pod, "", normal("SandboxChanged", "Pod sandbox changed, it will be killed and re-created."))
		}
	case podstep.RemoveContainer, podstep.RemoveSandbox:
		delete(p.told.ending, t.ID)
	}
}

// note takes in how operations ended: an image whose pull failed was not pulled,
// wherever it comes from then.
func (t *told) note(outcomes []podstep.Outcome) {
	for _, o := range outcomes {
		if o.Operation.Kind == podstep.PullImage && o.Reason != "" {
			delete(t.pulled, o.Operation.Container)
		}
	}
}

func set[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

// killing says why a container is killed.
func killing(t *task) string {
	switch t.Why {
	case podstep.LivenessFailed:
		return fmt.Sprintf("Container %s failed liveness probe, will be restarted", t.Container)
	case podstep.StartupFailed:
		return fmt.Sprintf("Container %s failed startup probe, will be restarted", t.Container)
	case podstep.SpecChanged:
		return fmt.Sprintf("Container %s definition changed, will be restarted", t.Container)
	case podstep.PostStartFailed:
		return "FailedPostStartHook"
	case podstep.StateUnknown:
		return fmt.Sprintf("Container is in %q state, try killing it before restart", "unknown")
	}
	return "Stopping container " + t.Container
}

// conclusion is how an operation ended, and how long it took.
type conclusion struct {
	outcome   podstep.Outcome
	took      time.Duration
	cancelled bool
	// size is that of the image that was pulled, in bytes; zero if unknown.
	size int64
}

// tellEnded writes the events of an operation that has ended.
func (a *Agent) tellEnded(t *task, c conclusion) {
	a.measures.ended(t, c)
	reason, message := c.outcome.Reason, c.outcome.Message
	switch {
	case c.cancelled && reason != "":
	case t.Kind == podstep.PullImage && reason == "":
		took := c.took.Truncate(time.Millisecond)
		a.tell(t.pod, t.Container, normal("Pulled", fmt.Sprintf(
			"Successfully pulled image %q in %v (%v including waiting). Image size: %d bytes.", t.Image, took, took, c.size)))
	case t.Kind == podstep.PullImage:
		a.tell(t.pod, t.Container, warning("Failed", fmt.Sprintf("Failed to pull image %q: %s", t.Image, message)))
		a.tell(t.pod, t.Container, warning("Failed", "Error: "+reason))
	case t.Kind == podstep.StartContainer:
		if reason == "" || reason == "RunContainerError" {
			a.tell(t.pod, t.Container, normal("Created", "Container created"))
		}
		if reason == "" {
			a.tell(t.pod, t.Container, normal("Started", "Container started"))
		} else {
			a.tell(t.pod, t.Container, warning("Failed", "Error: "+message))
		}
	case reason == "":
	case t.Kind == podstep.CreateSandbox:
		a.tell(t.pod, "", warning("FailedCreatePodSandBox", "Failed to create pod sandbox: "+message))
	case t.Kind == podstep.RunPostStart:
		a.tell(t.pod, t.Container, warning("FailedPostStartHook", "PostStartHook failed"))
	case t.Kind == podstep.RunPreStop:
		a.tell(t.pod, t.Container, warning("FailedPreStopHook", "PreStopHook failed"))
	case t.Kind == podstep.KillContainer, t.Kind == podstep.StopSandbox:
		a.tell(t.pod, "", warning("FailedKillPod", "error killing pod: "+message))
	}
}

// tellWaiting writes, once for each wait, what holds up containers.
func (a *Agent) tellWaiting(p *pod, object *corev1.Pod, s *podstep.Status) {
	for _, list := range [][]podstep.ContainerStatus{s.Init, s.Containers, s.Ephemeral} {
		for i := range list {
			events := waitingEvents(object, &list[i])
			if len(events) == 0 {
				continue
			}
			wait := fmt.Sprintf("%s #%d", list[i].Waiting.Reason, list[i].RestartCount)
			if p.told.waiting[list[i].Name] == wait {
				continue
			}
			set(&p.told.waiting, list[i].Name, wait)
			for _, e := range events {
				a.tell(object, list[i].Name, e)
			}
		}
	}
}

// tellDeadline writes once that a pod was active too long.
func (a *Agent) tellDeadline(p *pod, object *corev1.Pod, s *podstep.Status) {
	if s.Reason == "DeadlineExceeded" && !p.told.deadline && !ended(object) {
		p.told.deadline = true
		a.tell(object, "", normal(s.Reason, s.Message))
	}
}

// waitingEvents say what a container waits for, if that is worth telling.
func waitingEvents(object *corev1.Pod, s *podstep.ContainerStatus) []event {
	if s.Waiting == nil {
		return nil
	}
	failed := warning("Failed", "Error: "+s.Waiting.Reason)
	switch s.Waiting.Reason {
	case "CrashLoopBackOff":
		return []event{warning("BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s_%s(%s)",
			s.Name, object.Name, object.Namespace, object.UID))}
	case "ImagePullBackOff":
		// What went wrong follows the image's name, and was told before.
		message, _, _ := strings.Cut(s.Waiting.Message, ": ")
		return []event{normal("BackOff", message), failed}
	case "ErrImageNeverPull":
		return []event{warning("ErrImageNeverPull", s.Waiting.Message), failed}
	}
	return nil
}
