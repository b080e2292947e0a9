package objects

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// kind is a kind of object, as it is named where one is missing.
type kind string

const (
	configMap kind = "configmap"
	secret    kind = "secret"
)

// reference names one object.
type reference struct {
	kind            kind
	namespace, name string
}

// references are all objects that a pod names, sorted, each once.
func references(pod *corev1.Pod) []reference {
	var out []reference
	add := func(k kind, name string) {
		if name != "" {
			out = append(out, reference{k, pod.Namespace, name})
		}
	}
	for _, pull := range pod.Spec.ImagePullSecrets {
		add(secret, pull.Name)
	}
	for _, container := range containers(pod) {
		ofEnvironment(container, add)
	}
	for i := range pod.Spec.Volumes {
		ofVolume(&pod.Spec.Volumes[i], add)
	}
	slices.SortFunc(out, func(a, b reference) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
	})
	return slices.Compact(out)
}

func containers(pod *corev1.Pod) []*corev1.Container {
	var out []*corev1.Container
	for i := range pod.Spec.InitContainers {
		out = append(out, &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		out = append(out, &pod.Spec.Containers[i])
	}
	for i := range pod.Spec.EphemeralContainers {
		common := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		out = append(out, &common)
	}
	return out
}

func ofEnvironment(c *corev1.Container, add func(kind, string)) {
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			add(configMap, from.ConfigMapRef.Name)
		}
		if from.SecretRef != nil {
			add(secret, from.SecretRef.Name)
		}
	}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			continue
		}
		if ref := v.ValueFrom.ConfigMapKeyRef; ref != nil {
			add(configMap, ref.Name)
		}
		if ref := v.ValueFrom.SecretKeyRef; ref != nil {
			add(secret, ref.Name)
		}
	}
}

func ofVolume(v *corev1.Volume, add func(kind, string)) {
	switch {
	case v.ConfigMap != nil:
		add(configMap, v.ConfigMap.Name)
	case v.Secret != nil:
		add(secret, v.Secret.SecretName)
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			if source.ConfigMap != nil {
				add(configMap, source.ConfigMap.Name)
			}
			if source.Secret != nil {
				add(secret, source.Secret.Name)
			}
		}
	}
}
