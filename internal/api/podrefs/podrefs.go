// Package podrefs finds the objects that a pod names: secrets, config maps and
// claims of its namespace. Whether these exist, and who may read them, is left
// to others.
package podrefs

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
)

// Secrets are the names of the secrets that a pod needs: to pull its images, in
// the environment of its containers, and for its volumes. One may come twice.
func Secrets(pod *corev1.Pod) iter.Seq[string] {
	return nonEmpty(func(yield func(string) bool) {
		for _, s := range pod.Spec.ImagePullSecrets {
			if !yield(s.Name) {
				return
			}
		}
		for e := range environments(pod) {
			if !e.secrets(yield) {
				return
			}
		}
		for i := range pod.Spec.Volumes {
			if !volumeSecrets(&pod.Spec.Volumes[i].VolumeSource, yield) {
				return
			}
		}
	})
}

// ConfigMaps are the names of the config maps that a pod needs: in the
// environment of its containers, and for its volumes. One may come twice.
func ConfigMaps(pod *corev1.Pod) iter.Seq[string] {
	return nonEmpty(func(yield func(string) bool) {
		for e := range environments(pod) {
			if !e.configMaps(yield) {
				return
			}
		}
		for i := range pod.Spec.Volumes {
			if !volumeConfigMaps(&pod.Spec.Volumes[i].VolumeSource, yield) {
				return
			}
		}
	})
}

// Claims are the names of the persistent volume claims that a pod mounts. That
// of an ephemeral volume is made of the pod's name and the volume's.
func Claims(pod *corev1.Pod) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range pod.Spec.Volumes {
			v := &pod.Spec.Volumes[i]
			switch {
			case v.PersistentVolumeClaim != nil:
				if !yield(v.PersistentVolumeClaim.ClaimName) {
					return
				}
			case v.Ephemeral != nil:
				if !yield(pod.Name + "-" + v.Name) {
					return
				}
			}
		}
	}
}

// nonEmpty leaves out names that are not set.
func nonEmpty(names iter.Seq[string]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range names {
			if name != "" && !yield(name) {
				return
			}
		}
	}
}

// environment is what a container of any kind takes from other objects.
type environment struct {
	env  []corev1.EnvVar
	from []corev1.EnvFromSource
}

func environments(pod *corev1.Pod) iter.Seq[environment] {
	return func(yield func(environment) bool) {
		for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range containers {
				if !yield(environment{containers[i].Env, containers[i].EnvFrom}) {
					return
				}
			}
		}
		for i := range pod.Spec.EphemeralContainers {
			c := &pod.Spec.EphemeralContainers[i]
			if !yield(environment{c.Env, c.EnvFrom}) {
				return
			}
		}
	}
}

func (e environment) secrets(yield func(string) bool) bool {
	for i := range e.env {
		if from := e.env[i].ValueFrom; from != nil && from.SecretKeyRef != nil && !yield(from.SecretKeyRef.Name) {
			return false
		}
	}
	for i := range e.from {
		if from := e.from[i].SecretRef; from != nil && !yield(from.Name) {
			return false
		}
	}
	return true
}

func (e environment) configMaps(yield func(string) bool) bool {
	for i := range e.env {
		if from := e.env[i].ValueFrom; from != nil && from.ConfigMapKeyRef != nil && !yield(from.ConfigMapKeyRef.Name) {
			return false
		}
	}
	for i := range e.from {
		if from := e.from[i].ConfigMapRef; from != nil && !yield(from.Name) {
			return false
		}
	}
	return true
}

func volumeSecrets(v *corev1.VolumeSource, yield func(string) bool) bool {
	var ref *corev1.LocalObjectReference
	switch {
	case v.Secret != nil:
		return yield(v.Secret.SecretName)
	case v.AzureFile != nil:
		return yield(v.AzureFile.SecretName)
	case v.Projected != nil:
		for i := range v.Projected.Sources {
			if s := v.Projected.Sources[i].Secret; s != nil && !yield(s.Name) {
				return false
			}
		}
	case v.CephFS != nil:
		ref = v.CephFS.SecretRef
	case v.Cinder != nil:
		ref = v.Cinder.SecretRef
	case v.FlexVolume != nil:
		ref = v.FlexVolume.SecretRef
	case v.RBD != nil:
		ref = v.RBD.SecretRef
	case v.ScaleIO != nil:
		ref = v.ScaleIO.SecretRef
	case v.ISCSI != nil:
		ref = v.ISCSI.SecretRef
	case v.StorageOS != nil:
		ref = v.StorageOS.SecretRef
	case v.CSI != nil:
		ref = v.CSI.NodePublishSecretRef
	}
	return ref == nil || yield(ref.Name)
}

func volumeConfigMaps(v *corev1.VolumeSource, yield func(string) bool) bool {
	switch {
	case v.ConfigMap != nil:
		return yield(v.ConfigMap.Name)
	case v.Projected != nil:
		for i := range v.Projected.Sources {
			if m := v.Projected.Sources[i].ConfigMap; m != nil && !yield(m.Name) {
				return false
			}
		}
	}
	return true
}
