package validation

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Pod checks a new pod.
func Pod(pod *corev1.Pod) field.ErrorList {
	return namespaced(&pod.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// PodUpdate checks a changed pod.
func PodUpdate(pod, old *corev1.Pod) field.ErrorList {
	return metaUpdate(&pod.ObjectMeta, &old.ObjectMeta)
}

// PodStatusUpdate checks a changed status of a pod.
func PodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	return metaUpdate(&pod.ObjectMeta, &old.ObjectMeta)
}

// PodEphemeralContainersUpdate checks what is written through
// /ephemeralcontainers.
func PodEphemeralContainersUpdate(pod, old *corev1.Pod) field.ErrorList {
	return metaUpdate(&pod.ObjectMeta, &old.ObjectMeta)
}

// PodTemplate checks a new stored pod template.
func PodTemplate(template *corev1.PodTemplate) field.ErrorList {
	return namespaced(&template.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// PodTemplateUpdate checks a changed stored pod template.
func PodTemplateUpdate(template, old *corev1.PodTemplate) field.ErrorList {
	return metaUpdate(&template.ObjectMeta, &old.ObjectMeta)
}

// Binding checks the assignment of a pod to a node.
func Binding(b *corev1.Binding) field.ErrorList { return nil }
