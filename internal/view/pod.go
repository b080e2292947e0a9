package view

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/core/place"
)

// templateGenerationLabel is what pods carry beside the hash of their revision;
// the API declares no constant for it.
const templateGenerationLabel = "pod-template-generation"

// daemonSetKind is the kind that controller references name.
var daemonSetKind = appsv1.SchemeGroupVersion.WithKind("DaemonSet")

// Controls reports whether the DaemonSet is the controller of the object.
func Controls(ds *appsv1.DaemonSet, object metav1.Object) bool {
	ref := metav1.GetControllerOfNoCopy(object)
	return ref != nil && ref.UID == ds.UID
}

// ControllerRef is the reference by which pods and revisions of the DaemonSet
// name it.
func ControllerRef(ds *appsv1.DaemonSet) metav1.OwnerReference {
	return *metav1.NewControllerRef(ds, daemonSetKind)
}

// NewPod is the daemon pod for one node: the template, with the labels of its
// revision, the automatic tolerations, and an affinity that names the node.
func NewPod(ds *appsv1.DaemonSet, hash, node, name string) *corev1.Pod {
	template := ds.Spec.Template.DeepCopy()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            name,
			GenerateName:    generateName(ds.Name),
			Namespace:       ds.Namespace,
			Labels:          maps.Clone(template.Labels),
			Annotations:     template.Annotations,
			Finalizers:      template.Finalizers,
			OwnerReferences: []metav1.OwnerReference{ControllerRef(ds)},
		},
		Spec: template.Spec,
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey] = hash
	if generation := templateGeneration(ds); generation != "" {
		pod.Labels[templateGenerationLabel] = generation
	}
	pod.Spec.Tolerations = place.DaemonTolerations(pod.Spec.Tolerations, pod.Spec.HostNetwork)
	pod.Spec.Affinity = pinned(pod.Spec.Affinity, node)
	return pod
}

// generateName is what names of pods begin with.
func generateName(set string) string {
	if prefix := set + "-"; len(validation.NameIsDNSSubdomain(prefix, true)) == 0 {
		return prefix
	}
	return set
}

// pinned replaces the required node affinity by one term that names the node.
// Preferences and affinity to pods stay.
func pinned(affinity *corev1.Affinity, node string) *corev1.Affinity {
	if affinity == nil {
		affinity = &corev1.Affinity{}
	}
	if affinity.NodeAffinity == nil {
		affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{
				Key:      metav1.ObjectNameField,
				Operator: corev1.NodeSelectorOpIn,
				Values:   []string{node},
			}},
		}},
	}
	return affinity
}

// condition returns the pod's condition of a type, or nil.
func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &pod.Status.Conditions[i]
}
