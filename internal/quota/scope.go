package quota

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// inScope tells whether one scope of a quota covers a pod.
func inScope(s corev1.ScopedResourceSelectorRequirement, item runtime.Object) (bool, error) {
	pod, err := asPod(item)
	if err != nil {
		return false, err
	}
	switch s.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return hasDeadline(pod), nil
	case corev1.ResourceQuotaScopeNotTerminating:
		return !hasDeadline(pod), nil
	case corev1.ResourceQuotaScopeBestEffort:
		return isBestEffort(pod), nil
	case corev1.ResourceQuotaScopeNotBestEffort:
		return !isBestEffort(pod), nil
	case corev1.ResourceQuotaScopePriorityClass:
		return selects(s, pod.Spec.PriorityClassName)
	case corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return looksAcrossNamespaces(pod), nil
	default:
		return false, nil
	}
}

// selects applies a requirement to a value; "" means that there is none.
func selects(s corev1.ScopedResourceSelectorRequirement, value string) (bool, error) {
	listed := value != "" && slices.Contains(s.Values, value)
	switch s.Operator {
	case corev1.ScopeSelectorOpExists:
		return value != "", nil
	case corev1.ScopeSelectorOpDoesNotExist:
		return value == "", nil
	case corev1.ScopeSelectorOpIn:
		return listed, nil
	case corev1.ScopeSelectorOpNotIn:
		return !listed, nil
	default:
		return false, fmt.Errorf("%q is not a valid scope selector operator", s.Operator)
	}
}

// hasDeadline tells whether a pod ends by itself at a time.
func hasDeadline(pod *corev1.Pod) bool {
	deadline := pod.Spec.ActiveDeadlineSeconds
	return deadline != nil && *deadline >= 0
}

// isBestEffort tells whether nothing in a pod asks for cpu or memory.
func isBestEffort(pod *corev1.Pod) bool {
	if asksForCompute(pod.Spec.Resources) {
		return false
	}
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		if asksForCompute(&c.Resources) {
			return false
		}
	}
	return true
}

func asksForCompute(r *corev1.ResourceRequirements) bool {
	if r == nil {
		return false
	}
	for _, list := range []corev1.ResourceList{r.Requests, r.Limits} {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if quantity, found := list[name]; found && quantity.Sign() > 0 {
				return true
			}
		}
	}
	return false
}

// looksAcrossNamespaces tells whether a pod's (anti-)affinity looks at pods of
// namespaces that it names.
func looksAcrossNamespaces(pod *corev1.Pod) bool {
	return slices.ContainsFunc(affinityTerms(pod), func(t corev1.PodAffinityTerm) bool {
		return len(t.Namespaces) > 0 || t.NamespaceSelector != nil
	})
}

func affinityTerms(pod *corev1.Pod) []corev1.PodAffinityTerm {
	if pod.Spec.Affinity == nil {
		return nil
	}
	var terms []corev1.PodAffinityTerm
	var weighted []corev1.WeightedPodAffinityTerm
	if a := pod.Spec.Affinity.PodAffinity; a != nil {
		terms = append(terms, a.RequiredDuringSchedulingIgnoredDuringExecution...)
		weighted = append(weighted, a.PreferredDuringSchedulingIgnoredDuringExecution...)
	}
	if a := pod.Spec.Affinity.PodAntiAffinity; a != nil {
		terms = append(terms, a.RequiredDuringSchedulingIgnoredDuringExecution...)
		weighted = append(weighted, a.PreferredDuringSchedulingIgnoredDuringExecution...)
	}
	for _, w := range weighted {
		terms = append(terms, w.PodAffinityTerm)
	}
	return terms
}
