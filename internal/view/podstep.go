package view

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// StepPod is the pod as the agent's core sees it. That its volumes are ready is
// for the agent to say.
func StepPod(pod *corev1.Pod) podstep.Pod {
	out := podstep.Pod{
		Namespace:      pod.Namespace,
		Name:           pod.Name,
		UID:            string(pod.UID),
		RestartPolicy:  podstep.RestartPolicy(pod.Spec.RestartPolicy),
		Grace:          Seconds(ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)),
		ActiveDeadline: Seconds(ptr.Deref(pod.Spec.ActiveDeadlineSeconds, 0)),
		HostNetwork:    pod.Spec.HostNetwork,
	}
	for i := range pod.Spec.InitContainers {
		out.Init = append(out.Init, stepContainer(&pod.Spec.InitContainers[i]))
	}
	for i := range pod.Spec.Containers {
		out.Containers = append(out.Containers, stepContainer(&pod.Spec.Containers[i]))
	}
	for i := range pod.Spec.EphemeralContainers {
		common := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		out.Ephemeral = append(out.Ephemeral, stepContainer(&common))
	}
	for _, gate := range pod.Spec.ReadinessGates {
		g := podstep.ReadinessGate{Type: string(gate.ConditionType)}
		if c := podCondition(pod, gate.ConditionType); c != nil {
			g.Status = string(c.Status)
		}
		out.ReadinessGates = append(out.ReadinessGates, g)
	}
	return out
}

// Seconds is a duration that the API gives in seconds. What is longer than a
// lifetime is as good as for ever, and cut to what can be reckoned with.
func Seconds(n int64) time.Duration { return time.Duration(min(n, math.MaxInt32)) * time.Second }

func stepContainer(c *corev1.Container) podstep.Container {
	out := podstep.Container{
		Name:           c.Name,
		Image:          c.Image,
		PullPolicy:     podstep.PullPolicy(c.ImagePullPolicy),
		RestartPolicy:  podstep.RestartPolicy(ptr.Deref(c.RestartPolicy, "")),
		RestartRules:   restartRules(c.RestartPolicyRules),
		Hash:           ContainerHash(c),
		StartupProbe:   stepProbe(c.StartupProbe),
		LivenessProbe:  stepProbe(c.LivenessProbe),
		ReadinessProbe: c.ReadinessProbe != nil,
	}
	if c.Lifecycle != nil {
		out.PostStart = c.Lifecycle.PostStart != nil
		out.PreStop = c.Lifecycle.PreStop != nil
	}
	return out
}

// ContainerHash changes with what a running container cannot change: its image.
func ContainerHash(c *corev1.Container) string {
	sum := fnv.New32a()
	fmt.Fprintf(sum, "%s\x00%s", c.Name, c.Image)
	return fmt.Sprintf("%x", sum.Sum32())
}

func restartRules(rules []corev1.ContainerRestartRule) []podstep.RestartRule {
	var out []podstep.RestartRule
	for _, rule := range rules {
		if rule.ExitCodes == nil {
			continue
		}
		out = append(out, podstep.RestartRule{
			Codes: slices.Clone(rule.ExitCodes.Values),
			NotIn: rule.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpNotIn,
		})
	}
	return out
}

func stepProbe(p *corev1.Probe) *podstep.Probe {
	if p == nil {
		return nil
	}
	out := &podstep.Probe{}
	if p.TerminationGracePeriodSeconds != nil {
		out.Grace = ptr.To(Seconds(*p.TerminationGracePeriodSeconds))
	}
	return out
}

// ReportedStatus is the status that the API has, as the agent's core reports it.
// It is empty for a pod that no agent has reported yet.
func ReportedStatus(status *corev1.PodStatus) podstep.Status {
	if status.StartTime == nil && len(status.ContainerStatuses) == 0 && !podstep.Phase(status.Phase).Ended() {
		return podstep.Status{}
	}
	out := podstep.Status{
		Phase:      podstep.Phase(status.Phase),
		Reason:     status.Reason,
		Message:    status.Message,
		Init:       reportedContainers(status.InitContainerStatuses),
		Containers: reportedContainers(status.ContainerStatuses),
		Ephemeral:  reportedContainers(status.EphemeralContainerStatuses),
	}
	if status.StartTime != nil {
		out.Start = status.StartTime.Time
	}
	return out
}

func reportedContainers(statuses []corev1.ContainerStatus) []podstep.ContainerStatus {
	var out []podstep.ContainerStatus
	for i := range statuses {
		s := &statuses[i]
		c := podstep.ContainerStatus{
			Name:         s.Name,
			ID:           withoutScheme(s.ContainerID),
			Terminated:   reportedTermination(s.State.Terminated),
			Last:         reportedTermination(s.LastTerminationState.Terminated),
			RestartCount: int(s.RestartCount),
			Started:      ptr.Deref(s.Started, false),
			Ready:        s.Ready,
		}
		switch {
		case c.Terminated != nil:
		case s.State.Running != nil:
			c.Running = &podstep.RunningSince{Started: s.State.Running.StartedAt.Time}
		default:
			c.Waiting = &podstep.Waiting{}
			if w := s.State.Waiting; w != nil {
				*c.Waiting = podstep.Waiting{Reason: w.Reason, Message: w.Message}
			}
		}
		out = append(out, c)
	}
	return out
}

func reportedTermination(t *corev1.ContainerStateTerminated) *podstep.Terminated {
	if t == nil {
		return nil
	}
	return &podstep.Terminated{
		ID:       withoutScheme(t.ContainerID),
		ExitCode: t.ExitCode,
		Reason:   t.Reason,
		Message:  t.Message,
		Started:  t.StartedAt.Time,
		Finished: t.FinishedAt.Time,
	}
}

// withoutScheme is the runtime's own name in an ID such as containerd://NAME.
func withoutScheme(id string) string {
	if _, name, found := strings.Cut(id, "://"); found {
		return name
	}
	return id
}
