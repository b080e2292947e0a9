package probe

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// podReference is what events about a pod are about.
func podReference(pod *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}
}

// containerReference is what events about a container are about.
func containerReference(pod *corev1.Pod, container string) *corev1.ObjectReference {
	list := "containers"
	if slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == container }) {
		list = "initContainers"
	}
	reference := podReference(pod)
	reference.FieldPath = "spec." + list + "{" + container + "}"
	return reference
}
