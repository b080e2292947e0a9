package simulated

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/podstatus"
)

// podView is all that a step of a pod depends on. It is not modified.
type podView struct {
	Pod     *corev1.Pod
	HostIPs []string // InternalIPs of the node; none: the node is not set up yet
	PodIP   string   // address kept for the pod; unused with hostNetwork
	Ready   bool     // the node's Ready condition is True
	Now     time.Time
}

// podTurn is what the agent does next for a pod. At most one of Status and
// Delete is set.
type podTurn struct {
	Status *corev1.PodStatus // write this
	Events []podEvent        // and report these once it is written
	Delete bool              // remove the pod from the API
	Wake   time.Time         // look again then; zero: after the next event
}

// podEvent is one event about a container's image.
type podEvent struct {
	Type, Reason, Message string
	FieldPath             string // of the container in the pod
}

// stepPod takes a pod one turn forward, as the kubelet would.
func stepPod(v podView) podTurn {
	pod := v.Pod
	switch {
	case podstatus.IsTerminal(pod):
		return podTurn{Delete: pod.DeletionTimestamp != nil && !lastGraceSpent(pod)}
	case pod.DeletionTimestamp != nil:
		return stepTerminating(v)
	case len(v.HostIPs) == 0:
		return podTurn{}
	}
	if at, ok := deadline(pod); ok && !v.Now.Before(at) {
		return podTurn{Status: failed(v, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline")}
	}
	if !v.Ready {
		return podTurn{}
	}
	return stepRunning(v)
}

// stepRunning starts what can be started and reports it.
func stepRunning(v podView) podTurn {
	status, events := runningStatus(v)
	turn := podTurn{Wake: nextLook(v.Pod, status)}
	if !equality.Semantic.DeepEqual(status, &v.Pod.Status) {
		turn.Status, turn.Events = status, events
	}
	return turn
}

// stepTerminating ends a pod once its preStop hooks are over. The containers
// themselves stop at once.
func stepTerminating(v podView) podTurn {
	pod := v.Pod
	if end := stopsAt(pod); v.Now.Before(end) {
		return podTurn{Wake: end}
	}
	// A finalizer keeps the object after its deletion. Its phase must tell that
	// nothing runs any more, or its resources would stay taken.
	if len(pod.Finalizers) > 0 {
		return podTurn{Status: stopped(v, corev1.PodSucceeded)}
	}
	return podTurn{Delete: true}
}

// lastGraceSpent tells that a deletion with grace 0 was accepted already, so
// only finalizers hold the object.
func lastGraceSpent(pod *corev1.Pod) bool {
	return pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0
}

// stopsAt returns when the last container of a terminating pod has stopped:
// after the longest preStop hook whose length is known, but never later than
// the grace period allows.
func stopsAt(pod *corev1.Pod) time.Time {
	limit := pod.DeletionTimestamp.Time
	asked := limit
	if grace := pod.DeletionGracePeriodSeconds; grace != nil {
		asked = limit.Add(-time.Duration(*grace) * time.Second)
	}
	longest := time.Duration(0)
	for _, c := range pod.Spec.Containers {
		if state := findStatus(pod.Status.ContainerStatuses, c.Name); state != nil && state.State.Running != nil {
			longest = max(longest, preStopTime(c.Lifecycle))
		}
	}
	end := asked.Add(longest)
	if end.After(limit) {
		return limit
	}
	return end
}

// preStopTime returns how long a hook takes, as far as its text tells: a sleep
// action, or a command that is nothing but a sleep.
func preStopTime(hooks *corev1.Lifecycle) time.Duration {
	if hooks == nil || hooks.PreStop == nil {
		return 0
	}
	switch hook := hooks.PreStop; {
	case hook.Sleep != nil:
		return time.Duration(hook.Sleep.Seconds) * time.Second
	case hook.Exec != nil:
		return sleepCommand(hook.Exec.Command)
	}
	return 0
}

// sleepCommand understands `sleep N` and `sh -c "sleep N"`; anything else takes
// no time.
func sleepCommand(command []string) time.Duration {
	if len(command) == 3 && strings.HasSuffix(command[0], "sh") && command[1] == "-c" {
		command = strings.Fields(command[2])
	}
	if len(command) != 2 || !strings.HasSuffix(command[0], "sleep") {
		return 0
	}
	length := strings.TrimSuffix(command[1], "s")
	d, err := time.ParseDuration(length + "s")
	if err != nil || d < 0 {
		return 0
	}
	return d
}

// deadline returns when activeDeadlineSeconds end.
func deadline(pod *corev1.Pod) (time.Time, bool) {
	if pod.Spec.ActiveDeadlineSeconds == nil || pod.Status.StartTime == nil {
		return time.Time{}, false
	}
	return pod.Status.StartTime.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second), true
}

// nextLook returns the earliest time at which status would change by itself.
func nextLook(pod *corev1.Pod, status *corev1.PodStatus) time.Time {
	var wake time.Time
	sooner := func(at time.Time) {
		if wake.IsZero() || at.Before(wake) {
			wake = at
		}
	}
	if pod.Spec.ActiveDeadlineSeconds != nil {
		end := time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second
		sooner(status.StartTime.Add(end))
	}
	if pullFailed(status) {
		sooner(pullFailedAt(status).Add(pullRetry))
	}
	return wake
}

// failed returns the status of a pod that the agent ended.
func failed(v podView, reason, message string) *corev1.PodStatus {
	status := stopped(v, corev1.PodFailed)
	status.Reason = reason
	status.Message = message
	return status
}

// stopped returns the status of a pod none of whose containers runs any more.
func stopped(v podView, phase corev1.PodPhase) *corev1.PodStatus {
	status := v.Pod.Status.DeepCopy()
	status.Phase = phase
	status.ObservedGeneration = v.Pod.Generation
	for _, containers := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range containers {
			stopContainer(&containers[i], v.Now)
		}
	}
	reason := "PodCompleted"
	if phase == corev1.PodFailed {
		reason = "PodFailed"
	}
	marks := conditions{status: status, generation: v.Pod.Generation, now: metav1.NewTime(v.Now)}
	marks.set(corev1.PodReadyToStartContainers, corev1.ConditionFalse, "", "")
	marks.set(corev1.PodReady, corev1.ConditionFalse, reason, "")
	marks.set(corev1.ContainersReady, corev1.ConditionFalse, reason, "")
	return status
}

// runningStatus returns the status of a pod with everything started that can
// start, and the events of images that cannot be pulled.
func runningStatus(v podView) (*corev1.PodStatus, []podEvent) {
	pod := v.Pod
	status := pod.Status.DeepCopy()
	now := metav1.NewTime(v.Now)
	status.ObservedGeneration = pod.Generation
	if status.StartTime == nil {
		status.StartTime = &now
	}
	setAddresses(status, v)
	run := containerRun{pod: pod, old: &pod.Status, now: now}
	run.all()
	status.InitContainerStatuses, status.ContainerStatuses = run.init, run.app
	status.Phase = corev1.PodRunning
	if !allStarted(status) {
		status.Phase = corev1.PodPending
	}
	setConditions(pod, status, now)
	return status, run.events
}

func setAddresses(status *corev1.PodStatus, v podView) {
	status.HostIP = v.HostIPs[0]
	status.HostIPs = nil
	for _, ip := range v.HostIPs {
		status.HostIPs = append(status.HostIPs, corev1.HostIP{IP: ip})
	}
	switch {
	case v.Pod.Spec.HostNetwork:
		status.PodIP = status.HostIP
	case status.PodIP == "":
		status.PodIP = v.PodIP
	}
	if len(status.PodIPs) == 0 || status.PodIPs[0].IP != status.PodIP {
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	}
}

// conditions writes the conditions of a pod status, all at one time.
type conditions struct {
	status     *corev1.PodStatus
	generation int64
	now        metav1.Time
}

func (c conditions) set(kind corev1.PodConditionType, value corev1.ConditionStatus, reason, message string) {
	podstatus.SetCondition(c.status, corev1.PodCondition{
		Type: kind, Status: value, Reason: reason, Message: message,
		LastTransitionTime: c.now, ObservedGeneration: c.generation,
	})
}

// setConditions derives the conditions the kubelet owns from the containers.
func setConditions(pod *corev1.Pod, status *corev1.PodStatus, now metav1.Time) {
	marks := conditions{status: status, generation: pod.Generation, now: now}
	marks.set(corev1.PodReadyToStartContainers, corev1.ConditionTrue, "", "")
	if names := unfinishedInit(pod, status); len(names) > 0 {
		marks.set(corev1.PodInitialized, corev1.ConditionFalse, "ContainersNotInitialized",
			fmt.Sprintf("containers with incomplete status: %s", names))
	} else {
		marks.set(corev1.PodInitialized, corev1.ConditionTrue, "", "")
	}
	containers := corev1.PodCondition{Status: corev1.ConditionTrue}
	if names := unreadyContainers(pod, status); len(names) > 0 {
		containers.Status, containers.Reason = corev1.ConditionFalse, "ContainersNotReady"
		containers.Message = fmt.Sprintf("containers with unready status: %s", names)
	}
	ready := containers
	if closed := closedGates(pod); ready.Status == corev1.ConditionTrue && len(closed) > 0 {
		ready.Status, ready.Reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
		ready.Message = strings.Join(closed, ", ")
	}
	marks.set(corev1.PodReady, ready.Status, ready.Reason, ready.Message)
	marks.set(corev1.ContainersReady, containers.Status, containers.Reason, containers.Message)
	marks.set(corev1.PodScheduled, corev1.ConditionTrue, "", "")
}

// closedGates says which readiness gates keep the pod from being ready.
func closedGates(pod *corev1.Pod) []string {
	var closed []string
	for _, gate := range pod.Spec.ReadinessGates {
		switch c := podstatus.Condition(&pod.Status, gate.ConditionType); {
		case c == nil:
			closed = append(closed, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case c.Status != corev1.ConditionTrue:
			closed = append(closed, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, c.Status))
		}
	}
	return closed
}
