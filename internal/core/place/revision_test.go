package place

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/core/place/placetest"
)

// A daemon's terms may go by the hash of its revision, which its template does not
// have but its pods do.
func TestTermsMayGoByTheRevision(t *testing.T) {
	c := NewCluster()
	for name, hash := range map[string]string{"w-old": "old", "w-new": "new"} {
		n, err := placetest.Node(name + " kubernetes.io/hostname=" + name)
		if err != nil {
			t.Fatal(err)
		}
		c.SetNode(n)
		companion, err := placetest.Pod("companion-" + hash + " app=db " + appsv1.DefaultDaemonSetUniqueLabelKey + "=" + hash)
		if err != nil {
			t.Fatal(err)
		}
		c.Place(ForPod(companion), name)
	}
	term := corev1.PodAffinityTerm{
		LabelSelector:  &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
		MatchLabelKeys: []string{appsv1.DefaultDaemonSetUniqueLabelKey},
		TopologyKey:    corev1.LabelHostname,
	}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "ds", UID: "ds"}}
	ds.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term},
	}}
	for hash, want := range map[string]struct{ old, new bool }{"": {true, true}, "new": {false, true}, "old": {true, false}} {
		s := ForRevision(ds, hash)
		if got := c.EligibleAmong(s, "w-old").Run; got != want.old {
			t.Errorf("revision %q beside the old pod: %t", hash, got)
		}
		if got := c.EligibleAmong(s, "w-new").Run; got != want.new {
			t.Errorf("revision %q beside the new pod: %t", hash, got)
		}
	}
	if len(ds.Spec.Template.Labels) > 0 {
		t.Errorf("the template was changed: %v", ds.Spec.Template.Labels)
	}
}
