package place

import (
	"reflect"
	"slices"
	"strconv"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
)

// naiveEligible is a second opinion, written from the documentation of the API
// and as plainly as possible. It shares no code with the package.
func naiveEligible(spec corev1.PodSpec, n *corev1.Node) (run, stays bool) {
	if spec.NodeName != "" && spec.NodeName != n.Name {
		return false, false
	}
	for k, v := range spec.NodeSelector {
		if got, ok := n.Labels[k]; !ok || got != v {
			return false, false
		}
	}
	if a := spec.Affinity; a != nil && a.NodeAffinity != nil {
		if r := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
			if !slices.ContainsFunc(r.NodeSelectorTerms, func(t corev1.NodeSelectorTerm) bool { return naiveTerm(t, n) }) {
				return false, false
			}
		}
	}
	run, stays = true, true
	for _, taint := range n.Spec.Taints {
		if taint.Effect == "PreferNoSchedule" || naiveTolerated(spec, taint) {
			continue
		}
		run = false
		if taint.Effect == "NoExecute" {
			stays = false
		}
	}
	return run, stays
}

func naiveTerm(t corev1.NodeSelectorTerm, n *corev1.Node) bool {
	if len(t.MatchExpressions)+len(t.MatchFields) == 0 {
		return false
	}
	for _, f := range t.MatchFields {
		if slices.Contains(f.Values, n.Name) != (f.Operator == "In") {
			return false
		}
	}
	for _, e := range t.MatchExpressions {
		got, ok := n.Labels[e.Key]
		holds := false
		switch e.Operator {
		case "In":
			holds = ok && slices.Contains(e.Values, got)
		case "NotIn":
			holds = !ok || !slices.Contains(e.Values, got)
		case "Exists":
			holds = ok
		case "DoesNotExist":
			holds = !ok
		case "Gt", "Lt":
			have, err := strconv.Atoi(got)
			bound, _ := strconv.Atoi(e.Values[0])
			holds = err == nil && (e.Operator == "Gt" && have > bound || e.Operator == "Lt" && have < bound)
		}
		if !holds {
			return false
		}
	}
	return true
}

func naiveTolerated(spec corev1.PodSpec, taint corev1.Taint) bool {
	switch taint.Key + ":" + string(taint.Effect) {
	case "node.kubernetes.io/not-ready:NoExecute", "node.kubernetes.io/unreachable:NoExecute",
		"node.kubernetes.io/disk-pressure:NoSchedule", "node.kubernetes.io/memory-pressure:NoSchedule",
		"node.kubernetes.io/pid-pressure:NoSchedule", "node.kubernetes.io/unschedulable:NoSchedule":
		return true
	case "node.kubernetes.io/network-unavailable:NoSchedule":
		if spec.HostNetwork {
			return true
		}
	}
	for _, t := range spec.Tolerations {
		effect := t.Effect == "" || t.Effect == taint.Effect
		key := t.Key == "" || t.Key == taint.Key
		value := t.Operator == "Exists" || t.Value == taint.Value
		if effect && key && value {
			return true
		}
	}
	return false
}

// Small alphabets, so that things meet often.
var (
	someKey    = rapid.SampledFrom([]string{"zone", "disk", "cpus"})
	someValue  = rapid.SampledFrom([]string{"", "a", "4", "8"})
	someNumber = rapid.SampledFrom([]string{"3", "4", "8"})
	someNode   = rapid.SampledFrom([]string{"n1", "n2"})
	someEffect = rapid.SampledFrom([]corev1.TaintEffect{"NoSchedule", "NoExecute", "PreferNoSchedule"})
	someTaint  = rapid.SampledFrom([]string{
		"team", corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeUnschedulable,
		corev1.TaintNodeDiskPressure, corev1.TaintNodeMemoryPressure, corev1.TaintNodePIDPressure,
		corev1.TaintNodeNetworkUnavailable,
	})
)

var genNode = rapid.Custom(func(t *rapid.T) *corev1.Node {
	n := &corev1.Node{}
	n.Name = someNode.Draw(t, "node")
	n.Labels = rapid.MapOfN(someKey, someValue, 0, 3).Draw(t, "labels")
	n.Spec.Taints = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.Taint {
		return corev1.Taint{Key: someTaint.Draw(t, "key"), Value: someValue.Draw(t, "value"), Effect: someEffect.Draw(t, "effect")}
	}), 0, 3).Draw(t, "taints")
	return n
})

var genRequirement = rapid.Custom(func(t *rapid.T) corev1.NodeSelectorRequirement {
	r := corev1.NodeSelectorRequirement{Key: someKey.Draw(t, "key")}
	r.Operator = rapid.SampledFrom([]corev1.NodeSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"}).Draw(t, "operator")
	switch r.Operator {
	case "In", "NotIn":
		r.Values = rapid.SliceOfN(someValue, 1, 2).Draw(t, "values")
	case "Gt", "Lt":
		r.Values = []string{someNumber.Draw(t, "bound")}
	}
	return r
})

var genTerm = rapid.Custom(func(t *rapid.T) corev1.NodeSelectorTerm {
	term := corev1.NodeSelectorTerm{MatchExpressions: rapid.SliceOfN(genRequirement, 0, 2).Draw(t, "expressions")}
	if rapid.Bool().Draw(t, "field") {
		term.MatchFields = []corev1.NodeSelectorRequirement{{
			Key:      "metadata.name",
			Operator: rapid.SampledFrom([]corev1.NodeSelectorOperator{"In", "NotIn"}).Draw(t, "operator"),
			Values:   []string{someNode.Draw(t, "name")},
		}}
	}
	return term
})

var genDaemon = rapid.Custom(func(t *rapid.T) *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{}
	spec := &ds.Spec.Template.Spec
	spec.HostNetwork = rapid.Bool().Draw(t, "hostNetwork")
	spec.NodeName = rapid.OneOf(rapid.Just(""), someNode).Draw(t, "nodeName")
	spec.NodeSelector = rapid.MapOfN(someKey, someValue, 0, 1).Draw(t, "nodeSelector")
	affinity := &corev1.NodeAffinity{}
	if rapid.Bool().Draw(t, "required") {
		affinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
			NodeSelectorTerms: rapid.SliceOfN(genTerm, 0, 3).Draw(t, "terms"),
		}
	}
	for _, p := range rapid.SliceOfN(genTerm, 0, 3).Draw(t, "preferences") {
		affinity.PreferredDuringSchedulingIgnoredDuringExecution = append(affinity.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.PreferredSchedulingTerm{Weight: rapid.Int32Range(1, 100).Draw(t, "weight"), Preference: p})
	}
	spec.Affinity = &corev1.Affinity{NodeAffinity: affinity}
	spec.Tolerations = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.Toleration {
		return corev1.Toleration{
			Key:      rapid.OneOf(rapid.Just(""), someTaint).Draw(t, "key"),
			Operator: rapid.SampledFrom([]corev1.TolerationOperator{"", "Equal", "Exists"}).Draw(t, "operator"),
			Value:    someValue.Draw(t, "value"),
			Effect:   rapid.OneOf(rapid.Just(corev1.TaintEffect("")), someEffect).Draw(t, "effect"),
		}
	}), 0, 2).Draw(t, "tolerations")
	return ds
})

func TestEligibleAgreesWithNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ds, n := genDaemon.Draw(t, "ds"), genNode.Draw(t, "node")
		wasDS, wasNode := ds.DeepCopy(), n.DeepCopy()
		s := ForDaemon(ds)
		v := Eligible(s, n)
		run, stays := naiveEligible(ds.Spec.Template.Spec, n)
		if v.Run != run || v.Continue != stays {
			t.Fatalf("got run=%v continue=%v, naively run=%v continue=%v\n%v", v.Run, v.Continue, run, stays, v.Reasons)
		}
		if v.Run != (len(v.Reasons) == 0) {
			t.Fatalf("run=%v with reasons %v", v.Run, v.Reasons)
		}
		if v.Run && !v.Continue {
			t.Fatal("a pod that should run must be allowed to stay")
		}
		if again := Eligible(s, n); !reflect.DeepEqual(v, again) {
			t.Fatalf("second answer differs: %v, %v", v, again)
		}
		if !reflect.DeepEqual(ds, wasDS) || !reflect.DeepEqual(n, wasNode) {
			t.Fatal("an argument was changed")
		}
	})
}

func TestPreferenceAgreesWithNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ds, n := genDaemon.Draw(t, "ds"), genNode.Draw(t, "node")
		var want int64
		for _, p := range ds.Spec.Template.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			if naiveTerm(p.Preference, n) {
				want += int64(p.Weight)
			}
		}
		if got := Preference(ForDaemon(ds), n); got != want {
			t.Fatalf("got %d, naively %d", got, want)
		}
	})
}

// A verdict that is kept while EligibilityChanged is false stays right.
func TestEligibilityChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ForDaemon(genDaemon.Draw(t, "ds"))
		a, b := genNode.Draw(t, "old"), genNode.Draw(t, "new")
		if !EligibilityChanged(a, b) && !reflect.DeepEqual(Eligible(s, a), Eligible(s, b)) {
			t.Fatal("verdict changed unnoticed")
		}
		heartbeat := a.DeepCopy()
		heartbeat.ResourceVersion = "2"
		heartbeat.Annotations = map[string]string{"note": "new"}
		heartbeat.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady}}
		heartbeat.Spec.Unschedulable = true
		if EligibilityChanged(a, heartbeat) {
			t.Fatal("a heartbeat counts as a change")
		}
	})
}

func typicalDaemon() *Subject {
	ds := &appsv1.DaemonSet{}
	spec := &ds.Spec.Template.Spec
	spec.NodeSelector = map[string]string{"kubernetes.io/os": "linux"}
	spec.Tolerations = []corev1.Toleration{{Key: "node-role.kubernetes.io/control-plane", Operator: "Exists", Effect: "NoSchedule"}}
	spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "topology.kubernetes.io/zone", Operator: "In", Values: []string{"b", "a"}}}},
		}},
	}}
	return ForDaemon(ds)
}

func typicalNode() *corev1.Node {
	n := &corev1.Node{}
	n.Name = "node-1"
	n.Labels = map[string]string{
		"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		"kubernetes.io/hostname": "node-1", "topology.kubernetes.io/zone": "a",
	}
	n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: "NoSchedule"}}
	return n
}

func TestEligibleAllocatesNothing(t *testing.T) {
	s, n := typicalDaemon(), typicalNode()
	if !Eligible(s, n).Run {
		t.Fatal("the typical daemon should run on the typical node")
	}
	if allocs := testing.AllocsPerRun(100, func() { Eligible(s, n) }); allocs != 0 {
		t.Errorf("%v allocations for a yes, want none", allocs)
	}
}

func BenchmarkEligible(b *testing.B) {
	s, n := typicalDaemon(), typicalNode()
	b.ReportAllocs()
	for b.Loop() {
		Eligible(s, n)
	}
}
