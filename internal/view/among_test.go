package view

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/rollout"
)

func TestPlacementGrace(t *testing.T) {
	for _, c := range []struct {
		text    string
		want    time.Duration
		invalid bool
	}{
		{"90s", 90 * time.Second, false},
		{"0s", 0, false},
		{"0", 0, false},
		{"never", -1, false},
		{"", time.Minute, true},
		{"60", time.Minute, true},
		{"-1s", time.Minute, true},
		{"Never", time.Minute, true},
	} {
		ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{PlacementGraceAnnotation: c.text}}}
		if got, err := PlacementGrace(ds); got != c.want || (err != nil) != c.invalid {
			t.Errorf("%q: %s, %v", c.text, got, err)
		}
	}
	if got, err := PlacementGrace(&appsv1.DaemonSet{}); got != time.Minute || err != nil {
		t.Errorf("no annotation: %s, %v", got, err)
	}
}

// A node that only one of roster and cluster knows is coming or going: no pod
// is for it, and the others are judged as ever.
func TestStandWhileNodesComeAndGo(t *testing.T) {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "ds", Namespace: "ns", UID: "ds-uid"}}
	ds.Spec.Template.Labels = map[string]string{"app": "ds"}
	ds.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: "zone", LabelSelector: &metav1.LabelSelector{MatchLabels: ds.Spec.Template.Labels},
		}},
	}}
	subject, cluster := place.ForDaemon(ds), place.NewCluster()
	node := func(name string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": "east"}}}
	}
	for _, name := range []string{"b", "c", "e"} {
		cluster.SetNode(node(name))
	}
	roster := NewRoster([]*corev1.Node{node("a"), node("c"), node("d"), node("e")})
	standings := StandAll(cluster, subject, roster, map[string]bool{"e": true})
	want := []rollout.Verdict{rollout.Leave, rollout.Lapse, rollout.Leave, rollout.Run}
	for i, n := range roster.Nodes() {
		if standings[i].Verdict != want[i] {
			t.Errorf("%s: %v, want %v", n.Name, standings[i].Verdict, want[i])
		}
	}
	if got := StandAmong(cluster, subject, "a").Verdict; got != rollout.Leave {
		t.Errorf("a node that is not there: %v", got)
	}
}
