package place

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PinnedNode returns the one node that the pod can be on: spec.nodeName, or
// else the node that each term of its required node affinity names in
// matchFields, as the terms of daemon pods do. It is false for a pod that
// leaves a choice. The node need not exist, and other filters may refuse it.
func PinnedNode(pod *corev1.Pod) (string, bool) {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName, true
	}
	pinned := affinityPin(&pod.Spec)
	return pinned, pinned != ""
}

// affinityPin returns the one node that the required node affinity leaves, or
// "" if it leaves a choice.
func affinityPin(spec *corev1.PodSpec) string {
	affinity := nodeAffinity(spec)
	if affinity == nil || affinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	pinned := ""
	terms := affinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	for i := range terms {
		if isEmptyTerm(&terms[i]) {
			continue
		}
		name := namedNode(&terms[i])
		if name == "" || (pinned != "" && name != pinned) {
			return ""
		}
		pinned = name
	}
	return pinned
}

// namedNode returns the node that a term names, or "".
func namedNode(t *corev1.NodeSelectorTerm) string {
	for i := range t.MatchFields {
		r := &t.MatchFields[i]
		if r.Key == metav1.ObjectNameField && r.Operator == corev1.NodeSelectorOpIn && len(r.Values) == 1 {
			return r.Values[0]
		}
	}
	return ""
}
