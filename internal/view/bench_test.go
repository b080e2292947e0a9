package view

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/rollout"
)

// BenchmarkRolloutInput measures making the input of one plan for 5,000 nodes
// with a pod each.
func BenchmarkRolloutInput(b *testing.B) {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "ds", Namespace: "ns", UID: "ds-uid"}}
	o := Observation{Now: now, DaemonSet: ds, Hash: "hash"}
	var nodes []*corev1.Node
	for i := range 5000 {
		name := fmt.Sprintf("node-%04d", i)
		nodes = append(nodes, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionTrue},
			}},
		})
		pod := NewPod(ds, "hash", name, fmt.Sprintf("ds-%d", i))
		pod.Spec.NodeName = name
		pod.CreationTimestamp = metav1.NewTime(now.Add(-time.Hour))
		pod.Status.Conditions = []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now)},
		}
		o.Pods = append(o.Pods, pod)
	}
	o.Roster = NewRoster(nodes)
	for _, n := range nodes {
		o.Standings = append(o.Standings, Stand(place.ForDaemon(ds), n))
	}
	b.ReportAllocs()
	for b.Loop() {
		in, err := RolloutInput(o)
		if err != nil {
			b.Fatal(err)
		}
		o.Memory = rollout.Plan(in).Memory
	}
}
