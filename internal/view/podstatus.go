package view

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/qos"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// PodReport is all that the status of a pod is made of.
type PodReport struct {
	// Pod is as the API has it; what others have written to its status stays.
	Pod *corev1.Pod
	// Generation is that of the spec which was acted upon.
	Generation int64
	Status     podstep.Status
	// Others are conditions beside those of the Status, to be set like these.
	Others []corev1.PodCondition
	// Containers are what the runtime tells of containers, by their IDs there.
	Containers map[string]ContainerDetail
	// PodIPs have the main one first; with none, what was reported before stays.
	// HostIPs are the node's.
	PodIPs, HostIPs []string
	// Runtime is the scheme of container IDs, such as containerd.
	Runtime string
	Now     time.Time
}

// ContainerDetail is what only the runtime knows of a container.
type ContainerDetail struct {
	// Image is what it runs, ImageID the runtime's name of it with the digest.
	Image, ImageID string
	// User is who its first process was started as, nil if the runtime does not tell.
	User *corev1.ContainerUser
}

// PodStatus is the status to report. Equal inputs give an equal status, and what
// has not changed keeps its time of transition.
func PodStatus(r PodReport) corev1.PodStatus {
	status := *r.Pod.Status.DeepCopy()
	s := &r.Status
	status.ObservedGeneration = r.Generation
	status.Phase = corev1.PodPhase(s.Phase)
	status.Reason, status.Message = s.Reason, s.Message
	status.StartTime = ptr.To(apiTime(s.Start))
	if status.QOSClass == "" {
		status.QOSClass = qos.GetPodQOS(r.Pod)
	}
	r.addresses(&status)
	status.Conditions = r.conditions()
	spec := &r.Pod.Spec
	status.InitContainerStatuses = r.containers(s.Init, spec.InitContainers)
	status.ContainerStatuses = sorted(r.containers(s.Containers, spec.Containers))
	status.EphemeralContainerStatuses = sorted(r.containers(s.Ephemeral, ephemeral(spec)))
	return status
}

// apiTime is a time as the API keeps it, to the second.
func apiTime(t time.Time) metav1.Time { return metav1.NewTime(t).Rfc3339Copy() }

func ephemeral(spec *corev1.PodSpec) []corev1.Container {
	var out []corev1.Container
	for i := range spec.EphemeralContainers {
		out = append(out, corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	return out
}

func sorted(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	slices.SortFunc(statuses, func(a, b corev1.ContainerStatus) int { return cmp.Compare(a.Name, b.Name) })
	return statuses
}

// addresses sets those of the node and of the pod.
func (r *PodReport) addresses(status *corev1.PodStatus) {
	podIPs := r.PodIPs
	if len(r.HostIPs) > 0 {
		status.HostIP, status.HostIPs = r.HostIPs[0], nil
		for _, ip := range r.HostIPs {
			status.HostIPs = append(status.HostIPs, corev1.HostIP{IP: ip})
		}
		if r.Pod.Spec.HostNetwork && status.PodIP == "" {
			podIPs = r.HostIPs
		}
	}
	if len(podIPs) == 0 {
		return
	}
	status.PodIP, status.PodIPs = podIPs[0], nil
	for _, ip := range podIPs {
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: ip})
	}
}

// conditions are those of others, then the agent's own.
func (r *PodReport) conditions() []corev1.PodCondition {
	own := make([]corev1.PodCondition, 0, len(r.Status.Conditions)+1)
	for _, c := range r.Status.Conditions {
		own = append(own, r.condition(corev1.PodCondition{
			Type: corev1.PodConditionType(c.Type), Status: holds(c.Holds), Reason: c.Reason, Message: c.Message,
		}))
	}
	own = append(own, r.condition(corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}))
	others := make([]corev1.PodCondition, 0, len(r.Others))
	for _, c := range r.Others {
		others = append(others, r.condition(c))
	}
	var out []corev1.PodCondition
	for _, c := range r.Pod.Status.Conditions {
		same := func(o corev1.PodCondition) bool { return o.Type == c.Type }
		if i := slices.IndexFunc(others, same); i >= 0 {
			c = others[i] // in its place
			others = slices.Delete(others, i, i+1)
		}
		if !slices.ContainsFunc(own, same) {
			out = append(out, c)
		}
	}
	return append(append(out, others...), own...)
}

func holds(b bool) corev1.ConditionStatus {
	if b {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

// condition dates a condition.
func (r *PodReport) condition(c corev1.PodCondition) corev1.PodCondition {
	c.ObservedGeneration = r.Generation
	c.LastTransitionTime = apiTime(r.Now)
	if before := podCondition(r.Pod, c.Type); before != nil {
		c.LastProbeTime = before.LastProbeTime
		if before.Status == c.Status {
			c.LastTransitionTime = before.LastTransitionTime
		}
	}
	return c
}

// containers are the statuses of one kind of containers.
func (r *PodReport) containers(statuses []podstep.ContainerStatus, specs []corev1.Container) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range statuses {
		spec := slices.IndexFunc(specs, func(c corev1.Container) bool { return c.Name == statuses[i].Name })
		if spec >= 0 {
			out = append(out, r.container(&statuses[i], &specs[spec]))
		}
	}
	return out
}

func (r *PodReport) container(s *podstep.ContainerStatus, spec *corev1.Container) corev1.ContainerStatus {
	out := corev1.ContainerStatus{
		Name:         s.Name,
		Image:        spec.Image,
		ContainerID:  r.id(s.ID),
		RestartCount: int32(s.RestartCount),
		Ready:        s.Ready,
		Started:      ptr.To(s.Started),
		VolumeMounts: mountStatuses(spec.VolumeMounts),
	}
	if detail, known := r.Containers[s.ID]; known {
		out.Image, out.ImageID, out.User = detail.Image, detail.ImageID, detail.User.DeepCopy()
	} else if before := r.before(s); before != nil {
		out.Image, out.ImageID, out.User = before.Image, before.ImageID, before.User.DeepCopy()
	}
	if s.ID != "" {
		out.AllocatedResources = spec.Resources.Requests.DeepCopy()
		out.Resources = spec.Resources.DeepCopy()
	}
	switch {
	case s.Waiting != nil:
		out.State.Waiting = &corev1.ContainerStateWaiting{Reason: s.Waiting.Reason, Message: s.Waiting.Message}
	case s.Running != nil:
		out.State.Running = &corev1.ContainerStateRunning{StartedAt: apiTime(s.Running.Started)}
	case s.Terminated != nil:
		out.State.Terminated = r.terminated(s.Terminated)
	}
	if s.Last != nil {
		out.LastTerminationState.Terminated = r.terminated(s.Last)
	}
	return out
}

// before is what was reported of the same container of the runtime, nil if it was
// another one.
func (r *PodReport) before(s *podstep.ContainerStatus) *corev1.ContainerStatus {
	if s.ID == "" {
		return nil
	}
	status := &r.Pod.Status
	for _, list := range [][]corev1.ContainerStatus{
		status.InitContainerStatuses, status.ContainerStatuses, status.EphemeralContainerStatuses,
	} {
		for i := range list {
			if list[i].Name == s.Name && list[i].ContainerID == r.id(s.ID) {
				return &list[i]
			}
		}
	}
	return nil
}

func (r *PodReport) id(id string) string {
	if id == "" {
		return ""
	}
	return r.Runtime + "://" + id
}

// terminated tells how a container ended. One that could not be started has the
// beginning of time as its start, as with kubelets.
func (r *PodReport) terminated(t *podstep.Terminated) *corev1.ContainerStateTerminated {
	started := t.Started
	if started.IsZero() && !t.Finished.IsZero() {
		started = time.Unix(0, 0)
	}
	return &corev1.ContainerStateTerminated{
		ExitCode:    t.ExitCode,
		Reason:      t.Reason,
		Message:     t.Message,
		StartedAt:   apiTime(started),
		FinishedAt:  apiTime(t.Finished),
		ContainerID: r.id(t.ID),
	}
}

// mountStatuses tell how volumes are mounted. That a mount is read-only all the
// way down is told only where a container cannot start without it.
func mountStatuses(mounts []corev1.VolumeMount) []corev1.VolumeMountStatus {
	var out []corev1.VolumeMountStatus
	for _, m := range mounts {
		status := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mode := corev1.RecursiveReadOnlyDisabled
			if ptr.Deref(m.RecursiveReadOnly, mode) == corev1.RecursiveReadOnlyEnabled {
				mode = corev1.RecursiveReadOnlyEnabled
			}
			status.RecursiveReadOnly = &mode
		}
		out = append(out, status)
	}
	return out
}
