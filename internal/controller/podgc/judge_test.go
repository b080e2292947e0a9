package podgc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// TestJudge judges pods at a time in seconds:
//
//	pod at=N [bound] [phase=P] [deleting=GRACE]
//	node ready|notready [out-of-service]   or   node missing since=N
func TestJudge(t *testing.T) {
	datadriven.RunTest(t, "testdata/judge", func(t *testing.T, d *datadriven.TestData) string {
		at, phase := 0, "Running"
		d.ScanArgs(t, "at", &at)
		d.MaybeScanArgs(t, "phase", &phase)
		v := view{Pod: &corev1.Pod{}, Quarantine: 40 * time.Second, Now: epoch.Add(time.Duration(at) * time.Second)}
		v.Pod.Status.Phase = corev1.PodPhase(phase)
		var grace int64
		if d.MaybeScanArgs(t, "deleting", &grace) {
			now := metav1.NewTime(v.Now)
			v.Pod.DeletionTimestamp, v.Pod.DeletionGracePeriodSeconds = &now, &grace
		}
		if d.HasArg("bound") {
			v.Pod.Spec.NodeName = "n1"
			readNode(t, d, &v)
		}
		return transcribe(judge(v))
	})
}

func readNode(t *testing.T, d *datadriven.TestData, v *view) {
	words := strings.Fields(d.Input)
	if len(words) > 2 && words[1] == "missing" {
		var since int
		if _, err := fmt.Sscanf(words[2], "since=%d", &since); err != nil {
			d.Fatalf(t, "%v", err)
		}
		v.Missing = epoch.Add(time.Duration(since) * time.Second)
		return
	}
	v.Node = &corev1.Node{}
	status := corev1.ConditionUnknown
	if slices.Contains(words, "ready") {
		status = corev1.ConditionTrue
	}
	v.Node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	if slices.Contains(words, "out-of-service") {
		v.Node.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute}}
	}
}

func transcribe(v verdict) string {
	var out strings.Builder
	if v.Collect {
		out.WriteString("collect")
		if v.Confirm {
			out.WriteString(" once the API confirms")
		}
		if c := v.Condition; c != nil {
			fmt.Fprintf(&out, ", %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
		}
		out.WriteString("\n")
	}
	if !v.Wake.IsZero() {
		fmt.Fprintf(&out, "wake at=%v\n", v.Wake.Sub(epoch).Seconds())
	}
	if out.Len() == 0 {
		return "leave it\n"
	}
	return out.String()
}

func TestExcess(t *testing.T) {
	pod := func(name string, phase corev1.PodPhase, reason string, age int) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(epoch.Add(-time.Duration(age) * time.Hour))},
			Status:     corev1.PodStatus{Phase: phase, Reason: reason},
		}
	}
	pods := []*corev1.Pod{
		pod("young", corev1.PodSucceeded, "", 1), pod("running", corev1.PodRunning, "", 9),
		pod("twin-b", corev1.PodFailed, "", 3), pod("twin-a", corev1.PodFailed, "", 3),
		pod("old", corev1.PodSucceeded, "", 5), pod("evicted", corev1.PodFailed, "Evicted", 2),
	}
	for keep, want := range map[int]string{
		9: "", 5: "", 4: "evicted", 3: "evicted old", 1: "evicted old twin-a twin-b",
	} {
		var names []string
		for _, p := range excess(pods, keep) {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("excess(keep %d) = %q, want %q", keep, got, want)
		}
	}
}
