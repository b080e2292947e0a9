package environ

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/kubectl/pkg/util/fieldpath"
	resourcevalue "k8s.io/kubectl/pkg/util/resource"
)

// field gives the value of a field of the pod.
func field(in *Input, ref *corev1.ObjectFieldSelector) (string, error) {
	if ref.APIVersion != "" && ref.APIVersion != "v1" {
		return "", fmt.Errorf("unsupported pod version: %s", ref.APIVersion)
	}
	switch ref.FieldPath {
	case "spec.nodeName", "spec.host":
		return in.Pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return in.Pod.Spec.ServiceAccountName, nil
	case "status.podIP":
		return first(in.PodIPs), nil
	case "status.podIPs":
		return strings.Join(in.PodIPs, ","), nil
	case "status.hostIP", "status.hostIPs":
		if len(in.HostIPs) == 0 {
			return "", errors.New("the addresses of the node are not known yet")
		}
		if ref.FieldPath == "status.hostIP" {
			return in.HostIPs[0], nil
		}
		return strings.Join(in.HostIPs, ","), nil
	}
	return PodField(in.Pod, ref.FieldPath)
}

// PodField gives the value of a field of the pod's metadata: name, namespace, uid,
// labels, annotations, or a single one such as metadata.labels['app'].
func PodField(pod *corev1.Pod, path string) (string, error) {
	return fieldpath.ExtractFieldPathAsString(pod, path)
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// ResourceWish asks for a request or limit as the downward API gives it.
type ResourceWish struct {
	Pod *corev1.Pod
	// Container is whose it is, if Ref names none.
	Container *corev1.Container
	Ref       *corev1.ResourceFieldSelector
	// Allocatable is the node's: what a container without a limit may use.
	Allocatable corev1.ResourceList
}

// Resource gives the value, in units of the divisor, rounded up.
func Resource(wish ResourceWish) (string, error) {
	container := wish.Container
	if wish.Ref.ContainerName != "" {
		container = containerNamed(wish.Pod, wish.Ref.ContainerName)
	}
	if container == nil {
		return "", fmt.Errorf("container %s not found", wish.Ref.ContainerName)
	}
	return resourcevalue.ExtractContainerResourceValue(wish.Ref, limited(wish, container))
}

// limited is the container with the limits that hold for it in effect. Huge pages
// are left out: they are never shared, so who has no limit has none.
func limited(wish ResourceWish, container *corev1.Container) *corev1.Container {
	ceiling := maps.Clone(wish.Allocatable)
	if resourcehelper.IsPodLevelLimitsSet(wish.Pod) {
		for name, limit := range wish.Pod.Spec.Resources.Limits {
			if _, known := ceiling[name]; known && !limit.IsZero() {
				ceiling[name] = limit
			}
		}
	}
	out := *container
	out.Resources.Limits = corev1.ResourceList{}
	maps.Copy(out.Resources.Limits, container.Resources.Limits)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		own := container.Resources.Limits[name]
		if top, known := ceiling[name]; known && own.IsZero() {
			out.Resources.Limits[name] = top
		}
	}
	return &out
}

func containerNamed(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
