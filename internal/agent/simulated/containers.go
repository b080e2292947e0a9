package simulated

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/podstatus"
)

// unpullableTag is the image tag that no registry has.
const unpullableTag = "non-existent"

// pullRetry is how long a failed pull is shown as ErrImagePull before the
// back-off shows.
const pullRetry = 2 * time.Second

// Reasons of a waiting container.
const (
	reasonErrImagePull     = "ErrImagePull"
	reasonImagePullBackOff = "ImagePullBackOff"
	reasonInitializing     = "PodInitializing"
)

// containerRun works out the container statuses of one pod, in the order in
// which the kubelet starts them.
type containerRun struct {
	pod *corev1.Pod
	old *corev1.PodStatus
	now metav1.Time

	init, app []corev1.ContainerStatus
	events    []podEvent
}

// all fills in the statuses: init containers one after the other, each waiting
// for those before it, then the others together.
func (r *containerRun) all() {
	held := false
	for _, c := range r.pod.Spec.InitContainers {
		path := fmt.Sprintf("spec.initContainers{%s}", c.Name)
		status := r.nextInit(c, findStatus(r.old.InitContainerStatuses, c.Name), slot{path: path, held: held})
		held = held || status.State.Waiting != nil
		r.init = append(r.init, status)
	}
	for _, c := range r.pod.Spec.Containers {
		path := fmt.Sprintf("spec.containers{%s}", c.Name)
		r.app = append(r.app, r.next(c, findStatus(r.old.ContainerStatuses, c.Name), slot{path: path, held: held}))
	}
}

// slot is a container's place in the start order.
type slot struct {
	path string // of the container in the pod
	held bool   // an earlier init container has not done its part
}

// nextInit takes an init container forward. Unless it is a sidecar it runs once
// and takes no time.
func (r *containerRun) nextInit(c corev1.Container, old *corev1.ContainerStatus, at slot) corev1.ContainerStatus {
	if isSidecar(c) {
		return r.next(c, old, at)
	}
	if old != nil && old.State.Terminated != nil {
		return *old.DeepCopy()
	}
	status := r.next(c, old, at)
	if status.State.Running != nil {
		status.State = corev1.ContainerState{Terminated: exit(&status, r.now)}
		status.Started = ptr.To(false)
	}
	return status
}

// next takes one container forward.
func (r *containerRun) next(c corev1.Container, old *corev1.ContainerStatus, at slot) corev1.ContainerStatus {
	switch {
	case r.keeps(c, old):
		status := *old.DeepCopy()
		if status.State.Running != nil {
			status.Ready, status.Started = true, ptr.To(true)
		}
		return status
	case at.held:
		return r.waiting(c, old, corev1.ContainerStateWaiting{Reason: reasonInitializing})
	case unpullable(c.Image):
		return r.pull(c, old, at)
	}
	return r.start(c, old)
}

// keeps tells whether a container goes on as it is: it runs with the image that
// is asked for, or it has ended and is not to be started again.
func (r *containerRun) keeps(c corev1.Container, old *corev1.ContainerStatus) bool {
	if old == nil || old.Image != c.Image {
		return false
	}
	if old.State.Terminated != nil {
		return r.pod.Spec.RestartPolicy != corev1.RestartPolicyAlways && !isSidecar(c)
	}
	return old.State.Running != nil
}

// start returns the status of a container that has just been started.
func (r *containerRun) start(c corev1.Container, old *corev1.ContainerStatus) corev1.ContainerStatus {
	status := corev1.ContainerStatus{
		Name: c.Name, Image: c.Image, ImageID: "simulated://" + c.Image,
		Ready: true, Started: ptr.To(true),
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: r.now}},
	}
	r.remember(&status, old)
	if status.LastTerminationState.Terminated != nil {
		status.RestartCount++
	}
	status.ContainerID = fmt.Sprintf("simulated://%s/%s/%d", r.pod.UID, c.Name, status.RestartCount)
	return status
}

// pull shows a container whose image cannot be had: first the failure, then
// the back-off.
func (r *containerRun) pull(c corev1.Container, old *corev1.ContainerStatus, at slot) corev1.ContainerStatus {
	backOff := corev1.ContainerStateWaiting{Reason: reasonImagePullBackOff, Message: fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", c.Image, pullError(c.Image))}
	if !waitingFor(old, c.Image, reasonErrImagePull) && !waitingFor(old, c.Image, reasonImagePullBackOff) {
		r.report(at, corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", c.Image))
		r.report(at, corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %s", c.Image, pullError(c.Image)))
		r.report(at, corev1.EventTypeWarning, "Failed", "Error: "+reasonErrImagePull)
		return r.waiting(c, old, corev1.ContainerStateWaiting{Reason: reasonErrImagePull, Message: pullError(c.Image)})
	}
	if old.State.Waiting.Reason == reasonErrImagePull {
		if r.now.Time.Before(pullFailedAt(r.old).Add(pullRetry)) {
			return *old.DeepCopy()
		}
		r.report(at, corev1.EventTypeNormal, "BackOff", fmt.Sprintf("Back-off pulling image %q", c.Image))
		r.report(at, corev1.EventTypeWarning, "Failed", "Error: "+reasonImagePullBackOff)
	}
	return r.waiting(c, old, backOff)
}

func (r *containerRun) report(at slot, kind, reason, message string) {
	r.events = append(r.events, podEvent{Type: kind, Reason: reason, Message: message, FieldPath: at.path})
}

func pullError(image string) string {
	return fmt.Sprintf("rpc error: code = NotFound desc = failed to pull and unpack image %q: not found", image)
}

// pullFailedAt returns when a pod stopped being ready, which for a pod that
// waits for an image is when the pull failed. (Waiting states carry no time.)
func pullFailedAt(status *corev1.PodStatus) time.Time {
	if c := podstatus.Condition(status, corev1.ContainersReady); c != nil {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// waiting returns the status of a container that does not run.
func (r *containerRun) waiting(c corev1.Container, old *corev1.ContainerStatus, state corev1.ContainerStateWaiting) corev1.ContainerStatus {
	status := corev1.ContainerStatus{
		Name: c.Name, Image: c.Image, Started: ptr.To(false),
		State: corev1.ContainerState{Waiting: &state},
	}
	r.remember(&status, old)
	return status
}

// remember notes how the container ran before.
func (r *containerRun) remember(status, old *corev1.ContainerStatus) {
	if old == nil {
		return
	}
	status.RestartCount, status.LastTerminationState = old.RestartCount, old.LastTerminationState
	switch {
	case old.State.Running != nil:
		status.LastTerminationState = corev1.ContainerState{Terminated: exit(old, r.now)}
	case old.State.Terminated != nil:
		status.LastTerminationState = *old.State.DeepCopy()
	}
}

// exit returns how a running container looks once it has ended well.
func exit(old *corev1.ContainerStatus, now metav1.Time) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{
		Reason: "Completed", ContainerID: old.ContainerID,
		StartedAt: old.State.Running.StartedAt, FinishedAt: now,
	}
}

// stopContainer ends a container for good.
func stopContainer(status *corev1.ContainerStatus, now time.Time) {
	status.Ready, status.Started = false, ptr.To(false)
	switch {
	case status.State.Running != nil:
		status.State = corev1.ContainerState{Terminated: exit(status, metav1.NewTime(now))}
	case status.State.Waiting != nil:
		status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "ContainerStatusUnknown", ExitCode: 137,
			Message: "The container was not started before the pod was deleted",
		}}
	}
}

// unpullable tells whether an image reference carries the tag that no registry
// has. A digest wins over a tag, but the simulator looks at what is written.
func unpullable(image string) bool {
	name, _, _ := strings.Cut(image, "@")
	base := name[strings.LastIndex(name, "/")+1:]
	_, tag, _ := strings.Cut(base, ":")
	return tag == unpullableTag
}

func isSidecar(c corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func findStatus(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range statuses {
		if statuses[i].Name == name {
			return &statuses[i]
		}
	}
	return nil
}

func waitingFor(status *corev1.ContainerStatus, image, reason string) bool {
	return status != nil && status.Image == image && status.State.Waiting != nil && status.State.Waiting.Reason == reason
}

// waits returns the statuses of the containers that wait.
func waits(status *corev1.PodStatus) []corev1.ContainerStatus {
	var found []corev1.ContainerStatus
	for _, statuses := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for _, s := range statuses {
			if s.State.Waiting != nil {
				found = append(found, s)
			}
		}
	}
	return found
}

// pullFailed tells whether a container shows a failed pull.
func pullFailed(status *corev1.PodStatus) bool {
	return slices.ContainsFunc(waits(status), func(s corev1.ContainerStatus) bool {
		return s.State.Waiting.Reason == reasonErrImagePull
	})
}

// allStarted tells whether every container has run at some time, which ends
// the phase Pending.
func allStarted(status *corev1.PodStatus) bool {
	return !slices.ContainsFunc(waits(status), func(s corev1.ContainerStatus) bool {
		return s.LastTerminationState.Terminated == nil
	})
}

// unfinishedInit names the init containers that have not done their part.
func unfinishedInit(pod *corev1.Pod, status *corev1.PodStatus) []string {
	var names []string
	for _, c := range pod.Spec.InitContainers {
		if s := findStatus(status.InitContainerStatuses, c.Name); s == nil || s.State.Waiting != nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// unreadyContainers names the containers, sidecars included, that are not
// ready.
func unreadyContainers(pod *corev1.Pod, status *corev1.PodStatus) []string {
	var names []string
	for _, c := range pod.Spec.InitContainers {
		if s := findStatus(status.InitContainerStatuses, c.Name); isSidecar(c) && (s == nil || !s.Ready) {
			names = append(names, c.Name)
		}
	}
	for _, c := range pod.Spec.Containers {
		if s := findStatus(status.ContainerStatuses, c.Name); s == nil || !s.Ready {
			names = append(names, c.Name)
		}
	}
	return names
}
