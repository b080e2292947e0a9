package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (f *faults) tolerations(list []corev1.Toleration, at *field.Path) {
	for i := range list {
		f.toleration(&list[i], at.Index(i))
	}
}

func (f *faults) toleration(t *corev1.Toleration, at *field.Path) {
	if t.Key != "" {
		f.add(metav1validation.ValidateLabelName(t.Key, at.Child("key"))...)
	} else if t.Operator != corev1.TolerationOpExists {
		f.invalid(at.Child("operator"), t.Operator,
			"operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		f.invalid(at.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
	}
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		if msgs := validation.IsValidLabelValue(t.Value); len(msgs) > 0 {
			f.invalid(at.Child("operator"), t.Value, strings.Join(msgs, ";"))
		}
	case corev1.TolerationOpExists:
		if t.Value != "" {
			f.invalid(at.Child("operator"), t.Value, "value must be empty when `operator` is 'Exists'")
		}
	case corev1.TolerationOpLt, corev1.TolerationOpGt:
		// They wait for a feature that is off in v1.36, whose text names them
		// all the same.
		f.add(field.NotSupported(at.Child("operator"), t.Operator, []corev1.TolerationOperator{
			corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt}))
	default:
		supported(f, at.Child("operator"), t.Operator, corev1.TolerationOpEqual, corev1.TolerationOpExists)
	}
	if t.Effect != "" {
		f.taintEffect(t.Effect, at.Child("effect"))
	}
}

func (f *faults) taintEffect(effect corev1.TaintEffect, at *field.Path) {
	choice(f, at, effect,
		corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
}

// spread checks the constraints on how pods are spread over a topology.
func (f *faults) spread(list []corev1.TopologySpreadConstraint, at *field.Path) {
	for i := range list {
		c, at := &list[i], at.Index(i)
		f.positive(at.Child("maxSkew"), int64(c.MaxSkew))
		if c.TopologyKey == "" {
			f.required(at.Child("topologyKey"), "can not be empty")
		}
		supported(f, at.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)
		for _, later := range list[i+1:] {
			if later.TopologyKey == c.TopologyKey && later.WhenUnsatisfiable == c.WhenUnsatisfiable {
				f.duplicate(at.Child("{topologyKey, whenUnsatisfiable}"), fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable))
				break
			}
		}
		f.minDomains(c, at.Child("minDomains"))
		f.inclusion(c.NodeAffinityPolicy, at.Child("nodeAffinityPolicy"))
		f.inclusion(c.NodeTaintsPolicy, at.Child("nodeTaintsPolicy"))
		f.labelKeys(labelKeys{match: c.MatchLabelKeys, selector: c.LabelSelector}, at)
		f.add(selectorAt(c.LabelSelector, at.Child("labelSelector"))...)
	}
}

func (f *faults) minDomains(c *corev1.TopologySpreadConstraint, at *field.Path) {
	if c.MinDomains == nil {
		return
	}
	f.positive(at, int64(*c.MinDomains))
	if c.WhenUnsatisfiable != corev1.DoNotSchedule {
		f.invalid(at, *c.MinDomains, fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s",
			corev1.DoNotSchedule, c.WhenUnsatisfiable))
	}
}

func (f *faults) inclusion(policy *corev1.NodeInclusionPolicy, at *field.Path) {
	if policy != nil {
		supported(f, at, *policy, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
	}
}
