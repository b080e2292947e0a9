package place

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Subject is the pod's side of placement, compiled once and asked of many
// nodes. It does not change after it was made, so goroutines may share it; it
// refers to the object it was made from, which must not change either.
type Subject struct {
	nodeName     string
	nodeSelector []labelPair
	// required is nil without required node affinity; empty but not nil if
	// there is one that no node can satisfy.
	required    nodeTerms
	preferred   []preferredTerm
	tolerations []corev1.Toleration
}

// ForDaemon compiles the pods that the DaemonSet would create: its template
// with the automatic tolerations of daemon pods.
func ForDaemon(ds *appsv1.DaemonSet) *Subject {
	spec := &ds.Spec.Template.Spec
	return compile(spec, DaemonTolerations(spec.Tolerations, spec.HostNetwork))
}

// ForPod compiles a pod as it is.
func ForPod(pod *corev1.Pod) *Subject {
	return compile(&pod.Spec, pod.Spec.Tolerations)
}

func compile(spec *corev1.PodSpec, tolerations []corev1.Toleration) *Subject {
	s := &Subject{
		nodeName:     spec.NodeName,
		nodeSelector: sortedPairs(spec.NodeSelector),
		tolerations:  tolerations,
	}
	if affinity := nodeAffinity(spec); affinity != nil {
		if required := affinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
			s.required = compileTerms(required.NodeSelectorTerms)
		}
		s.preferred = compilePreferred(affinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return s
}

func nodeAffinity(spec *corev1.PodSpec) *corev1.NodeAffinity {
	if spec.Affinity == nil {
		return nil
	}
	return spec.Affinity.NodeAffinity
}
