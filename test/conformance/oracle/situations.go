package main

import (
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The words that situations are made of: few, so that they often meet.
var (
	nodeNames  = []string{"n1", "n2", "n3"}
	labelKeys  = []string{"zone", "disk", "rank"}
	labelValue = map[string][]string{"zone": {"a", "b"}, "disk": {"ssd", "hdd"}, "rank": {"1", "5", "9", "x"}}
	taintKeys  = []string{
		"dedicated", "gpu",
		corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeUnschedulable,
		corev1.TaintNodeDiskPressure, corev1.TaintNodeMemoryPressure, corev1.TaintNodePIDPressure,
		corev1.TaintNodeNetworkUnavailable,
	}
	taintValues = []string{"", "db"}
	effects     = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
	operators   = []corev1.NodeSelectorOperator{
		corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists,
		corev1.NodeSelectorOpDoesNotExist, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt,
	}
)

// chance makes things up.
type chance struct{ *rand.Rand }

func pick[T any](c chance, from []T) T { return from[c.IntN(len(from))] }

// oneIn is true once in n times.
func (c chance) oneIn(n int) bool { return c.IntN(n) == 0 }

func (c chance) node() corev1.Node {
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: pick(c, nodeNames), Labels: map[string]string{}}}
	for _, key := range labelKeys {
		if !c.oneIn(3) {
			node.Labels[key] = pick(c, labelValue[key])
		}
	}
	for range c.IntN(3) {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: pick(c, taintKeys), Value: pick(c, taintValues), Effect: pick(c, effects)})
	}
	node.Spec.Unschedulable = c.oneIn(8)
	return node
}

func (c chance) template() corev1.PodSpec {
	spec := corev1.PodSpec{HostNetwork: c.oneIn(4)}
	if c.oneIn(10) {
		spec.NodeName = pick(c, nodeNames)
	}
	if c.oneIn(4) {
		key := pick(c, labelKeys)
		spec.NodeSelector = map[string]string{key: pick(c, labelValue[key])}
	}
	if c.oneIn(2) {
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: c.terms()},
		}}
	}
	for range c.IntN(3) {
		spec.Tolerations = append(spec.Tolerations, c.toleration())
	}
	return spec
}

// terms are one to three; an empty one, which matches nothing, is among them at
// times.
func (c chance) terms() []corev1.NodeSelectorTerm {
	terms := make([]corev1.NodeSelectorTerm, 1+c.IntN(3))
	for i := range terms {
		for range c.IntN(3) {
			terms[i].MatchExpressions = append(terms[i].MatchExpressions, c.requirement())
		}
		if c.oneIn(5) {
			terms[i].MatchFields = append(terms[i].MatchFields, corev1.NodeSelectorRequirement{
				Key: metav1.ObjectNameField, Operator: pick(c, operators[:2]), Values: []string{pick(c, nodeNames)},
			})
		}
	}
	return terms
}

// requirement is one that validation accepts.
func (c chance) requirement() corev1.NodeSelectorRequirement {
	r := corev1.NodeSelectorRequirement{Key: pick(c, labelKeys), Operator: pick(c, operators)}
	switch r.Operator {
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		r.Values = []string{pick(c, []string{"0", "1", "5", "7"})}
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		r.Values = []string{pick(c, labelValue[r.Key]), pick(c, labelValue[r.Key])}
	}
	return r
}

func (c chance) toleration() corev1.Toleration {
	t := corev1.Toleration{Key: pick(c, taintKeys), Operator: corev1.TolerationOpEqual, Value: pick(c, taintValues)}
	if c.oneIn(2) {
		t.Operator, t.Value = corev1.TolerationOpExists, ""
		if c.oneIn(4) {
			t.Key = ""
		}
	}
	if !c.oneIn(3) {
		t.Effect = pick(c, effects)
	}
	return t
}
