package replicaset

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func at(second int) metav1.Time {
	return metav1.NewTime(epoch.Add(time.Duration(second) * time.Second))
}

// TestPlan plans for pods, a line each:
//
//	plan replicas=N [min-ready=SECONDS] [now=SECOND]
//	NAME [node=N] [phase=P] [ready=SECOND] [cost=N] [restarts=N] [created=SECOND] [unlabelled] [deleting]
func TestPlan(t *testing.T) {
	datadriven.RunTest(t, "testdata/plan", func(t *testing.T, d *datadriven.TestData) string {
		in := input{Labels: map[string]string{"app": "web"}}
		minReady, now := 0, 0
		d.ScanArgs(t, "replicas", &in.Replicas)
		d.MaybeScanArgs(t, "min-ready", &minReady)
		d.MaybeScanArgs(t, "now", &now)
		in.MinReady, in.Now = time.Duration(minReady)*time.Second, at(now).Time
		for line := range strings.Lines(d.Input) {
			in.Pods = append(in.Pods, readPod(t, d, line))
		}
		return transcribe(plan(in))
	})
}

func readPod(t *testing.T, d *datadriven.TestData, line string) *corev1.Pod {
	name, args, err := datadriven.ParseLine(line)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "web", "more": "yes"}, CreationTimestamp: at(0)},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for _, arg := range args {
		second := 0
		if len(arg.Vals) > 0 {
			_, _ = fmt.Sscan(arg.Vals[0], &second) // not all values are numbers
		}
		switch arg.Key {
		case "node":
			pod.Spec.NodeName = arg.Vals[0]
		case "phase":
			pod.Status.Phase = corev1.PodPhase(arg.Vals[0])
		case "ready":
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at(second)}}
		case "cost":
			pod.Annotations = map[string]string{corev1.PodDeletionCost: arg.Vals[0]}
		case "restarts":
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{}, {RestartCount: int32(second)}}
		case "created":
			pod.CreationTimestamp = at(second)
		case "unlabelled":
			pod.Labels = nil
		case "deleting":
			pod.DeletionTimestamp = &pod.CreationTimestamp
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
	return pod
}

func transcribe(d decision) string {
	var out strings.Builder
	if d.Create > 0 {
		fmt.Fprintf(&out, "create %d\n", d.Create)
	}
	if len(d.Delete) > 0 {
		fmt.Fprintf(&out, "delete %s\n", names(d.Delete))
	}
	n := d.Counts
	fmt.Fprintf(&out, "status replicas=%d labelled=%d ready=%d available=%d terminating=%d\n",
		n.Replicas, n.Labelled, n.Ready, n.Available, n.Terminating)
	if !d.WakeAt.IsZero() {
		fmt.Fprintf(&out, "wake at=%v\n", d.WakeAt.Sub(epoch).Seconds())
	}
	return out.String()
}

func names(pods []*corev1.Pod) string {
	var all []string
	for _, pod := range pods {
		all = append(all, pod.Name)
	}
	return strings.Join(all, " ")
}

// TestPlanMeetsReplicas checks, for any pods in any order, that a plan carried
// out leaves as many active pods as are wanted, deletes only active ones, and
// does not depend on the order.
func TestPlanMeetsReplicas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := input{Replicas: rapid.IntRange(0, 8).Draw(t, "replicas"), Now: epoch}
		active := map[string]bool{}
		for i := range rapid.IntRange(0, 10).Draw(t, "pods") {
			pod := drawPod(t, fmt.Sprint("pod-", i))
			in.Pods = append(in.Pods, pod)
			if pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
				active[pod.Name] = true
			}
		}
		d := plan(in)
		for _, pod := range d.Delete {
			if !active[pod.Name] {
				t.Fatalf("deletes %s, which is not active or was deleted before", pod.Name)
			}
			delete(active, pod.Name)
		}
		if len(active)+d.Create != in.Replicas || d.Create > 0 && len(d.Delete) > 0 {
			t.Fatalf("%d pods after %d creates and %d deletes", len(active)+d.Create, d.Create, len(d.Delete))
		}
		in.Pods = rapid.Permutation(in.Pods).Draw(t, "order")
		if again := plan(in); names(again.Delete) != names(d.Delete) || again.Counts != d.Counts {
			t.Fatalf("in another order deletes %s, not %s", names(again.Delete), names(d.Delete))
		}
	})
}

func drawPod(t *rapid.T, name string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: at(rapid.IntRange(0, 1).Draw(t, "created"))}}
	pod.Spec.NodeName = rapid.SampledFrom([]string{"", "n1", "n2"}).Draw(t, "node")
	pod.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodFailed, corev1.PodSucceeded}).Draw(t, "phase")
	if rapid.Bool().Draw(t, "ready") {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	if rapid.IntRange(0, 4).Draw(t, "deleting") == 0 {
		pod.DeletionTimestamp = &pod.CreationTimestamp
	}
	return pod
}
