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
