package view

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/api/defaults"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// stepPod renders a pod as the agent's core sees it.
func stepPod(t *testing.T, d *datadriven.TestData) string {
	pod := decode(t, d.Input, &corev1.Pod{})
	defaults.Pod(pod)
	return toYAML(t, StepPod(pod))
}

// podStatus reads a pod and a report about it, and renders the status; as it is
// made of a pod that has that status already, it must stay the same.
func podStatus(t *testing.T, d *datadriven.TestData) string {
	object, report, _ := strings.Cut(d.Input, "---\n")
	r := *decode(t, report, &PodReport{Runtime: "containerd", Generation: 1, Now: now})
	r.Pod = decode(t, object, &corev1.Pod{})
	before := toYAML(t, r.Pod)
	status := PodStatus(r)
	if toYAML(t, r.Pod) != before {
		d.Fatalf(t, "the pod was changed")
	}
	again := r
	again.Pod = r.Pod.DeepCopy()
	again.Pod.Status = status
	again.Now = now.Add(time.Hour)
	if toYAML(t, PodStatus(again)) != toYAML(t, status) {
		d.Fatalf(t, "the status does not stay the same")
	}
	return toYAML(t, status)
}

// TestReportedStatus holds the two directions together: what is reported is read
// again as what it was.
func TestReportedStatus(t *testing.T) {
	at := now.Local()
	ended := &podstep.Terminated{ID: "old", ExitCode: 3, Reason: "Error", Message: "m", Started: at, Finished: at.Add(time.Second)}
	status := podstep.Status{
		Phase: podstep.PhaseRunning, Reason: "R", Message: "M", Start: at,
		Init:       []podstep.ContainerStatus{{Name: "i", ID: "1", Terminated: ended, Ready: true}},
		Containers: []podstep.ContainerStatus{{Name: "a", ID: "2", Running: &podstep.RunningSince{Started: at}, Last: ended, RestartCount: 2, Started: true, Ready: true}},
		Ephemeral:  []podstep.ContainerStatus{{Name: "e", Waiting: &podstep.Waiting{Reason: "W", Message: "M"}}},
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers:      []corev1.Container{{Name: "i"}},
		Containers:          []corev1.Container{{Name: "a"}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e"}}},
	}}
	made := PodStatus(PodReport{Pod: pod, Status: status, Runtime: "containerd", Now: at})
	if got := toYAML(t, ReportedStatus(&made)); got != toYAML(t, status) {
		t.Errorf("got\n%swant\n%s", got, toYAML(t, status))
	}
	for _, fresh := range []corev1.PodStatus{{}, {Phase: corev1.PodPending, QOSClass: corev1.PodQOSBestEffort}} {
		if got := ReportedStatus(&fresh); !reflect.DeepEqual(got, podstep.Status{}) {
			t.Errorf("a status that no agent has written is read as %+v", got)
		}
	}
	rejected := corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodeLost", StartTime: ptr.To(metav1.NewTime(at))}
	if got := ReportedStatus(&rejected); got.Phase != podstep.PhaseFailed || got.Reason != "NodeLost" {
		t.Errorf("a final phase is read as %+v", got)
	}
}

// TestLongTimes holds times that the API allows to what they mean: in nanoseconds
// the longest would be negative.
func TestLongTimes(t *testing.T) {
	longest := ptr.To[int64](math.MaxInt64)
	pod := StepPod(&corev1.Pod{Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: longest, ActiveDeadlineSeconds: longest,
		Containers: []corev1.Container{{LivenessProbe: &corev1.Probe{TerminationGracePeriodSeconds: longest}}},
	}})
	for name, got := range map[string]time.Duration{
		"grace": pod.Grace, "deadline": pod.ActiveDeadline, "probe": *pod.Containers[0].LivenessProbe.Grace,
	} {
		if got < 50*365*24*time.Hour {
			t.Errorf("%s: %v", name, got)
		}
		if got+100*365*24*time.Hour < 0 {
			t.Errorf("%s: nothing can be added to %v", name, got)
		}
	}
}
