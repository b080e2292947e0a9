package simulated

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// epoch is the time that transcripts count from.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// TestPodTranscripts plays pods through their lives. Commands:
//
//	pod            a new pod, as YAML
//	edit           YAML laid over the pod
//	delete grace=N the API accepted a deletion with so many seconds
//	step at=N      one turn, N seconds after the start (node=notready|unset);
//	               a status it asks for is taken over into the pod
func TestPodTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/pod", func(t *testing.T, path string) {
		var pod *corev1.Pod
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "pod":
				pod = &corev1.Pod{}
				pod.Generation = 1
				pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
				fallthrough
			case "edit":
				if err := yaml.Unmarshal([]byte(d.Input), pod); err != nil {
					d.Fatalf(t, "%v", err)
				}
				return ""
			case "delete":
				var grace int64
				var at int
				d.ScanArgs(t, "grace", &grace)
				d.ScanArgs(t, "at", &at)
				end := metav1.NewTime(epoch.Add(time.Duration(int64(at)+grace) * time.Second))
				pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &end, &grace
				return ""
			case "step":
				return transcribeStep(t, d, pod)
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

func transcribeStep(t *testing.T, d *datadriven.TestData, pod *corev1.Pod) string {
	var at int
	d.ScanArgs(t, "at", &at)
	view := podView{Pod: pod, HostIPs: []string{"10.0.0.1"}, PodIP: "10.64.0.1", Ready: true, Now: epoch.Add(time.Duration(at) * time.Second)}
	if d.HasArg("node") {
		var state string
		d.ScanArgs(t, "node", &state)
		view.Ready = false
		if state == "unset" {
			view.HostIPs = nil
		}
	}
	before := pod.DeepCopy()
	turn := stepPod(view)
	if !equality.Semantic.DeepEqual(before, pod) {
		t.Errorf("%s: the step edited its argument", d.Pos)
	}
	var out strings.Builder
	if turn.Status != nil {
		transcribeStatus(&out, turn.Status)
		pod.Status = *turn.Status
	}
	for _, e := range turn.Events {
		fmt.Fprintf(&out, "event %s %s %s: %s\n", e.Type, e.Reason, e.FieldPath, e.Message)
	}
	if turn.Delete {
		out.WriteString("delete\n")
	}
	if !turn.Wake.IsZero() {
		fmt.Fprintf(&out, "wake at=%v\n", turn.Wake.Sub(epoch).Seconds())
	}
	if out.Len() == 0 {
		return "nothing to do\n"
	}
	return out.String()
}

func transcribeStatus(out *strings.Builder, status *corev1.PodStatus) {
	fmt.Fprintf(out, "phase %s", status.Phase)
	if status.Reason != "" {
		fmt.Fprintf(out, " %s: %s", status.Reason, status.Message)
	}
	fmt.Fprintf(out, "\naddresses pod=%s host=%s\n", status.PodIP, status.HostIP)
	for _, c := range status.Conditions {
		fmt.Fprintf(out, "%s=%s since=%v", c.Type, c.Status, c.LastTransitionTime.Sub(epoch).Seconds())
		if c.Reason != "" {
			fmt.Fprintf(out, " %s", strings.TrimSpace(c.Reason+" "+c.Message))
		}
		out.WriteString("\n")
	}
	for _, c := range append(append([]corev1.ContainerStatus{}, status.InitContainerStatuses...), status.ContainerStatuses...) {
		fmt.Fprintf(out, "%s %s ready=%v restarts=%d", c.Name, c.Image, c.Ready, c.RestartCount)
		switch s := c.State; {
		case s.Running != nil:
			fmt.Fprintf(out, " running since=%v\n", s.Running.StartedAt.Sub(epoch).Seconds())
		case s.Terminated != nil:
			fmt.Fprintf(out, " terminated %s exit=%d\n", s.Terminated.Reason, s.Terminated.ExitCode)
		case s.Waiting != nil:
			fmt.Fprintf(out, " waiting %s\n", s.Waiting.Reason)
		}
	}
}

func TestSleepCommand(t *testing.T) {
	for _, c := range []struct {
		command []string
		want    time.Duration
	}{
		{[]string{"sleep", "15"}, 15 * time.Second},
		{[]string{"/bin/sleep", "1.5"}, 1500 * time.Millisecond},
		{[]string{"/bin/sh", "-c", "sleep 20s"}, 20 * time.Second},
		{[]string{"sh", "-c", "sleep 20 && nginx -s quit"}, 0},
		{[]string{"sleep", "-3"}, 0},
		{[]string{"sleep", "infinity"}, 0},
		{[]string{"nginx", "15"}, 0},
		{nil, 0},
	} {
		if got := sleepCommand(c.command); got != c.want {
			t.Errorf("sleepCommand(%q) = %v, want %v", c.command, got, c.want)
		}
	}
}

func TestUnpullable(t *testing.T) {
	for image, want := range map[string]bool{
		"foo:non-existent":                         true,
		"registry.example:5000/a/foo:non-existent": true,
		"foo:non-existent@sha256:00":               true,
		"foo:non-existent-2":                       false,
		"non-existent":                             false,
		"non-existent:1":                           false,
		"registry.example:5000/foo":                false,
	} {
		if got := unpullable(image); got != want {
			t.Errorf("unpullable(%q) = %v, want %v", image, got, want)
		}
	}
}
