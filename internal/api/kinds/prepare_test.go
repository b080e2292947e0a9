package kinds

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

func TestSetPodCondition(t *testing.T) {
	earlier := metav1.NewTime(noon.Add(-1))
	scheduled := func(s corev1.ConditionStatus, at metav1.Time) corev1.PodCondition {
		return corev1.PodCondition{Type: corev1.PodScheduled, Status: s, LastTransitionTime: at}
	}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: earlier}
	for _, c := range []struct {
		name         string
		before, want []corev1.PodCondition
	}{
		{"first", nil, []corev1.PodCondition{scheduled(corev1.ConditionTrue, noon)}},
		{"further", []corev1.PodCondition{ready}, []corev1.PodCondition{ready, scheduled(corev1.ConditionTrue, noon)}},
		{"changed", []corev1.PodCondition{scheduled(corev1.ConditionFalse, earlier), ready}, []corev1.PodCondition{scheduled(corev1.ConditionTrue, noon), ready}},
		{"the same", []corev1.PodCondition{scheduled(corev1.ConditionTrue, earlier)}, []corev1.PodCondition{scheduled(corev1.ConditionTrue, earlier)}},
	} {
		p := &corev1.Pod{Status: corev1.PodStatus{Conditions: c.before}}
		setPodCondition(p, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, noon)
		if d := cmp.Diff(c.want, p.Status.Conditions); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

// TestPodStatusKeepsGenerations wants a writer that does not know observed
// generations to leave them as they were.
func TestPodStatusKeepsGenerations(t *testing.T) {
	conditions := func(ready, other int64) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: corev1.PodReady, ObservedGeneration: ready}, {Type: "other", ObservedGeneration: other}}
	}
	old := &corev1.Pod{Status: corev1.PodStatus{ObservedGeneration: 4, QOSClass: corev1.PodQOSBurstable, Conditions: conditions(4, 2)}}
	for _, c := range []struct {
		name        string
		given, want corev1.PodStatus
	}{
		{"unaware", corev1.PodStatus{Conditions: conditions(0, 0)},
			corev1.PodStatus{ObservedGeneration: 4, QOSClass: corev1.PodQOSBurstable, Conditions: conditions(4, 2)}},
		{"aware", corev1.PodStatus{ObservedGeneration: 5, QOSClass: corev1.PodQOSBestEffort, Conditions: conditions(5, 0)},
			corev1.PodStatus{ObservedGeneration: 5, QOSClass: corev1.PodQOSBestEffort, Conditions: conditions(5, 2)}},
	} {
		p := &corev1.Pod{Status: c.given}
		preparePodStatus(p, old)
		if d := cmp.Diff(c.want, p.Status); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

// TestLabelKeysNeedSelector wants a term without a selector, which matches
// nothing, to stay without one.
func TestLabelKeysNeedSelector(t *testing.T) {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"hash": "h"}},
		Spec: corev1.PodSpec{
			Affinity:                  &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{MatchLabelKeys: []string{"hash"}}}}},
			TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MatchLabelKeys: []string{"hash"}}},
		},
	}
	want := p.DeepCopy()
	mergeLabelKeys(p)
	if d := cmp.Diff(want, p); d != "" {
		t.Errorf("changed (-want +got):\n%s", d)
	}
}

func TestPodGrace(t *testing.T) {
	for _, c := range []struct {
		name              string
		node              string
		phase             corev1.PodPhase
		ofSpec, ofRequest *int64
		want              int64
	}{
		{"spec", "n", corev1.PodRunning, ptr.To[int64](30), nil, 30},
		{"request", "n", corev1.PodRunning, ptr.To[int64](30), ptr.To[int64](5), 5},
		{"nothing said", "n", corev1.PodRunning, nil, nil, 0},
		{"unbound", "", corev1.PodPending, ptr.To[int64](30), ptr.To[int64](5), 0},
		{"failed", "n", corev1.PodFailed, ptr.To[int64](30), nil, 0},
		{"succeeded", "n", corev1.PodSucceeded, ptr.To[int64](30), nil, 0},
		{"negative", "n", corev1.PodRunning, ptr.To[int64](-30), nil, 1},
	} {
		p := &corev1.Pod{Spec: corev1.PodSpec{NodeName: c.node, TerminationGracePeriodSeconds: c.ofSpec}, Status: corev1.PodStatus{Phase: c.phase}}
		o := &metav1.DeleteOptions{GracePeriodSeconds: c.ofRequest}
		if !podGrace(p, o) || *o.GracePeriodSeconds != c.want {
			t.Errorf("%s: %d seconds, want %d", c.name, *o.GracePeriodSeconds, c.want)
		}
	}
}

// TestCandidates wants every service to be able to get every free IP, once.
func TestCandidates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(20, 23).Draw(t, "bits")
		c := &clusterIPs{network: netip.PrefixFrom(netip.MustParseAddr("10.96.0.0"), bits)}
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: rapid.String().Draw(t, "name")}}
		seen := map[netip.Addr]bool{}
		for ip := range c.candidates(svc) {
			if seen[ip] || !c.network.Contains(ip) || !netip.MustParseAddr("10.96.0.255").Less(ip) {
				t.Fatalf("%s is offered again, foreign or reserved", ip)
			}
			seen[ip] = true
		}
		if want := 1<<(32-bits) - 256 - 1; len(seen) != want {
			t.Fatalf("%d IPs are offered, want %d", len(seen), want)
		}
	})
}

func TestKeepClusterIP(t *testing.T) {
	single, dual := ptr.To(corev1.IPFamilyPolicySingleStack), ptr.To(corev1.IPFamilyPolicyPreferDualStack)
	v4 := []corev1.IPFamily{corev1.IPv4Protocol}
	has := corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.1.1", ClusterIPs: []string{"10.96.1.1"}, IPFamilies: v4, IPFamilyPolicy: single}
	for _, c := range []struct {
		name             string
		given, old, want corev1.ServiceSpec
	}{
		{"not named", corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP}, has, has},
		{"named", has, has, has},
		{"another", corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.2.2", IPFamilyPolicy: dual}, has,
			corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.2.2", IPFamilies: v4, IPFamilyPolicy: dual}},
		{"no longer needed", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ClusterIP: "10.96.1.1", ClusterIPs: has.ClusterIPs, IPFamilies: v4, IPFamilyPolicy: single}, has,
			corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}},
		{"wrongly named", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ClusterIP: "10.96.2.2"}, has,
			corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ClusterIP: "10.96.2.2"}},
	} {
		svc := &corev1.Service{Spec: c.given}
		keepClusterIP(svc, &corev1.Service{Spec: c.old})
		if d := cmp.Diff(c.want, svc.Spec); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}
