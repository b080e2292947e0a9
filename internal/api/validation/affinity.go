package validation

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	requiredTerms  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferredTerms = "preferredDuringSchedulingIgnoredDuringExecution"
)

func (f *faults) affinity(a *corev1.Affinity, at *field.Path) {
	if a == nil {
		return
	}
	if node, at := a.NodeAffinity, at.Child("nodeAffinity"); node != nil {
		if required := node.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
			f.nodeSelector(required, at.Child(requiredTerms))
		}
		for i := range node.PreferredDuringSchedulingIgnoredDuringExecution {
			preferred, at := &node.PreferredDuringSchedulingIgnoredDuringExecution[i], at.Child(preferredTerms).Index(i)
			f.weight(preferred.Weight, at)
			f.nodeSelectorTerm(&preferred.Preference, false, at.Child("preference"))
		}
	}
	if pod := a.PodAffinity; pod != nil {
		f.podAffinity(pod.RequiredDuringSchedulingIgnoredDuringExecution,
			pod.PreferredDuringSchedulingIgnoredDuringExecution, at.Child("podAffinity"))
	}
	if pod := a.PodAntiAffinity; pod != nil {
		f.podAffinity(pod.RequiredDuringSchedulingIgnoredDuringExecution,
			pod.PreferredDuringSchedulingIgnoredDuringExecution, at.Child("podAntiAffinity"))
	}
}

func (f *faults) weight(weight int32, at *field.Path) {
	if weight < 1 || weight > 100 {
		f.invalid(at.Child("weight"), weight, "must be in the range 1-100")
	}
}

// nodeSelector checks the alternatives of which a node must meet one.
func (f *faults) nodeSelector(selector *corev1.NodeSelector, at *field.Path) {
	at = at.Child("nodeSelectorTerms")
	if len(selector.NodeSelectorTerms) == 0 {
		f.required(at, "must have at least one node selector term")
	}
	for i := range selector.NodeSelectorTerms {
		f.nodeSelectorTerm(&selector.NodeSelectorTerms[i], true, at.Index(i))
	}
}

// nodeSelectorTerm checks one alternative. Preferences may, unlike
// requirements, name values that no label can have.
func (f *faults) nodeSelectorTerm(term *corev1.NodeSelectorTerm, strict bool, at *field.Path) {
	for i := range term.MatchExpressions {
		r, at := &term.MatchExpressions[i], at.Child("matchExpressions").Index(i)
		f.nodeExpression(r, at)
		f.add(metav1validation.ValidateLabelName(r.Key, at.Child("key"))...)
		for j, value := range r.Values {
			if strict {
				f.messages(at.Child("values").Index(j), value, validation.IsValidLabelValue(value))
			}
		}
	}
	for i := range term.MatchFields {
		f.nodeField(&term.MatchFields[i], at.Child("matchFields").Index(i))
	}
}

// nodeExpression checks that an operator has as many values as it takes.
func (f *faults) nodeExpression(r *corev1.NodeSelectorRequirement, at *field.Path) {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			f.required(at.Child("values"), "must be specified when `operator` is 'In' or 'NotIn'")
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			f.forbidden(at.Child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			f.required(at.Child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'")
		}
	default:
		f.invalid(at.Child("operator"), r.Operator, "not a valid selector operator")
	}
}

// nodeField checks a selection by field. There is one: the name of the node.
func (f *faults) nodeField(r *corev1.NodeSelectorRequirement, at *field.Path) {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			f.required(at.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector")
		}
	default:
		f.invalid(at.Child("operator"), r.Operator, "not a valid selector operator")
	}
	if r.Key != metav1.ObjectNameField {
		f.invalid(at.Child("key"), r.Key, "not a valid field selector key")
		return
	}
	for i, name := range r.Values {
		f.subdomain(at.Child("values").Index(i), name)
	}
}

func (f *faults) podAffinity(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm, at *field.Path) {
	for i := range required {
		f.podAffinityTerm(&required[i], at.Child(requiredTerms).Index(i))
	}
	for i := range preferred {
		at := at.Child(preferredTerms).Index(i)
		f.weight(preferred[i].Weight, at)
		f.podAffinityTerm(&preferred[i].PodAffinityTerm, at.Child("podAffinityTerm"))
	}
}

func (f *faults) podAffinityTerm(term *corev1.PodAffinityTerm, at *field.Path) {
	f.add(selectorAt(term.LabelSelector, at.Child("labelSelector"))...)
	f.add(selectorAt(term.NamespaceSelector, at.Child("namespaceSelector"))...)
	for _, name := range term.Namespaces {
		f.messages(at.Child("namespace"), name, apivalidation.ValidateNamespaceName(name, false))
	}
	f.labelKeys(labelKeys{match: term.MatchLabelKeys, mismatch: term.MismatchLabelKeys, selector: term.LabelSelector}, at)
	if term.TopologyKey == "" {
		f.required(at.Child("topologyKey"), "can not be empty")
	}
	f.add(metav1validation.ValidateLabelName(term.TopologyKey, at.Child("topologyKey"))...)
}

// labelKeys are the labels whose values a pod takes from itself into a
// selector, to match the same or to keep away from it.
type labelKeys struct {
	match, mismatch []string
	selector        *metav1.LabelSelector
}

func (f *faults) labelKeys(keys labelKeys, at *field.Path) {
	f.labelKeyNames(keys.match, keys.selector, at.Child("matchLabelKeys"))
	f.labelKeyNames(keys.mismatch, keys.selector, at.Child("mismatchLabelKeys"))

	index, mismatched := map[string]int{}, seen[string]{}
	for i, key := range keys.match {
		index[key] = i
	}
	if keys.selector != nil {
		// The server has added an expression for each matchLabelKey by now, so
		// the second mention of a key is the one that the user wrote.
		selected := seen[string]{}
		for key := range keys.selector.MatchLabels {
			selected[key] = true
		}
		for _, expression := range keys.selector.MatchExpressions {
			again := selected.again(expression.Key)
			if i, ok := index[expression.Key]; ok && again {
				f.invalid(at.Index(i), expression.Key, "exists in both matchLabelKeys and labelSelector")
			}
		}
	}
	for _, key := range keys.mismatch {
		mismatched[key] = true
	}
	for i, key := range keys.match {
		if mismatched[key] {
			f.invalid(at.Child("matchLabelKeys").Index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys")
		}
	}
}

func (f *faults) labelKeyNames(keys []string, selector *metav1.LabelSelector, at *field.Path) {
	if len(keys) > 0 && selector == nil {
		f.forbidden(at, "must not be specified when labelSelector is not set")
		return
	}
	for i, key := range keys {
		f.add(metav1validation.ValidateLabelName(key, at.Index(i))...)
	}
}
