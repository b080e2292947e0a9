package admission

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// enforceSecretsAnnotation on an account limits its pods to the secrets that
// the account lists.
const enforceSecretsAnnotation = "kubernetes.io/enforce-mountable-secrets"

func enforcesSecrets(account *corev1.ServiceAccount) bool {
	enforce, err := strconv.ParseBool(account.Annotations[enforceSecretsAnnotation])
	return err == nil && enforce
}

// checkSecrets refuses references to secrets that the account does not list.
func checkSecrets(pod *corev1.Pod, account *corev1.ServiceAccount) error {
	listed := listedSecrets(account)
	for _, v := range pod.Spec.Volumes {
		if v.Secret != nil && !listed[v.Secret.SecretName] {
			return fmt.Errorf("volume with secret.secretName=%q is not allowed because service account %s does not reference that secret", v.Secret.SecretName, account.Name)
		}
	}
	for _, c := range pod.Spec.InitContainers {
		if err := checkEnvSecrets(environment{"init container", c.Name, c.Env, c.EnvFrom}, account); err != nil {
			return err
		}
	}
	for _, c := range pod.Spec.Containers {
		if err := checkEnvSecrets(environment{"container", c.Name, c.Env, c.EnvFrom}, account); err != nil {
			return err
		}
	}
	for i, s := range pod.Spec.ImagePullSecrets {
		if !slices.Contains(account.ImagePullSecrets, s) {
			return fmt.Errorf("imagePullSecrets[%d].name=%q is not allowed because service account %s does not reference that imagePullSecret", i, s.Name, account.Name)
		}
	}
	return nil
}

// checkEphemeralSecrets is checkSecrets for what an update can add.
func checkEphemeralSecrets(pod *corev1.Pod, account *corev1.ServiceAccount) error {
	for _, c := range pod.Spec.EphemeralContainers {
		if err := checkEnvSecrets(environment{"ephemeral container", c.Name, c.Env, c.EnvFrom}, account); err != nil {
			return err
		}
	}
	return nil
}

// environment is the part of any kind of container that can name secrets.
type environment struct {
	kind, name string
	env        []corev1.EnvVar
	from       []corev1.EnvFromSource
}

func checkEnvSecrets(e environment, account *corev1.ServiceAccount) error {
	listed := listedSecrets(account)
	for _, v := range e.env {
		if v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil || listed[v.ValueFrom.SecretKeyRef.Name] {
			continue
		}
		return fmt.Errorf("%s %s with envVar %s referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
			e.kind, e.name, v.Name, v.ValueFrom.SecretKeyRef.Name, account.Name)
	}
	for _, f := range e.from {
		if f.SecretRef == nil || listed[f.SecretRef.Name] {
			continue
		}
		return fmt.Errorf("%s %s with envFrom referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
			e.kind, e.name, f.SecretRef.Name, account.Name)
	}
	return nil
}

func listedSecrets(account *corev1.ServiceAccount) map[string]bool {
	listed := make(map[string]bool, len(account.Secrets))
	for _, s := range account.Secrets {
		listed[s.Name] = true
	}
	return listed
}

// referencesSecrets tells whether a pod names a secret anywhere.
func referencesSecrets(pod *corev1.Pod) bool {
	spec := &pod.Spec
	named := func(r corev1.LocalObjectReference) bool { return r.Name != "" }
	if slices.ContainsFunc(spec.ImagePullSecrets, named) {
		return true
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if envReferencesSecrets(c.Env, c.EnvFrom) {
			return true
		}
	}
	for _, c := range spec.EphemeralContainers {
		if envReferencesSecrets(c.Env, c.EnvFrom) {
			return true
		}
	}
	return slices.ContainsFunc(spec.Volumes, volumeReferencesSecret)
}

func envReferencesSecrets(env []corev1.EnvVar, from []corev1.EnvFromSource) bool {
	return slices.ContainsFunc(env, func(v corev1.EnvVar) bool {
		return v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil && v.ValueFrom.SecretKeyRef.Name != ""
	}) || slices.ContainsFunc(from, func(f corev1.EnvFromSource) bool {
		return f.SecretRef != nil && f.SecretRef.Name != ""
	})
}

func volumeReferencesSecret(v corev1.Volume) bool {
	switch {
	case v.Secret != nil:
		return v.Secret.SecretName != ""
	case v.Projected != nil:
		return slices.ContainsFunc(v.Projected.Sources, func(p corev1.VolumeProjection) bool {
			return p.Secret != nil && p.Secret.Name != ""
		})
	case v.AzureFile != nil:
		return v.AzureFile.SecretName != ""
	case v.CephFS != nil:
		return v.CephFS.SecretRef != nil
	case v.Cinder != nil:
		return v.Cinder.SecretRef != nil
	case v.FlexVolume != nil:
		return v.FlexVolume.SecretRef != nil
	case v.RBD != nil:
		return v.RBD.SecretRef != nil
	case v.ScaleIO != nil:
		return v.ScaleIO.SecretRef != nil
	case v.ISCSI != nil:
		return v.ISCSI.SecretRef != nil
	case v.StorageOS != nil:
		return v.StorageOS.SecretRef != nil
	case v.CSI != nil:
		return v.CSI.NodePublishSecretRef != nil
	}
	return false
}
