package admission

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/api/podrefs"
)

const (
	defaultAccount = "default"
	// tokenVolume begins the name of the volume that carries a pod's token.
	tokenVolume = "kube-api-access-"
	// tokenMountPath is where client libraries look for the token.
	tokenMountPath = "/var/run/secrets/kubernetes.io/serviceaccount"
	// tokenSeconds is an hour and a little: a server that sees this very number
	// extends the token, so that clients which never reload it go on working.
	tokenSeconds = 3607
)

// isMirror tells whether a pod only shows what an agent runs from a file. Its
// spec must stay as the agent wrote it.
func isMirror(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}

// nameAccount fills in the account's name under both of its field names: the
// old one, serviceAccount, is what older clients read and write.
func nameAccount(pod *corev1.Pod) {
	spec := &pod.Spec
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = spec.DeprecatedServiceAccount
	}
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = defaultAccount
	}
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
}

func addPullSecrets(pod *corev1.Pod, account *corev1.ServiceAccount) {
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
}

// wantsToken lets the pod decide, then the account; silence means yes.
func wantsToken(pod *corev1.Pod, account *corev1.ServiceAccount) bool {
	if wants := pod.Spec.AutomountServiceAccountToken; wants != nil {
		return *wants
	}
	return ptr.Deref(account.AutomountServiceAccountToken, true)
}

// tokenVolumeName is the same for all pods of an account, so that the watch cache
// holds once what the pods of a DaemonSet have in common. Kubernetes draws it.
func tokenVolumeName(account *corev1.ServiceAccount) string {
	hash := fnv.New32a()
	hash.Write([]byte(account.Namespace + "/" + account.Name))
	// Ten digits, of which the last vary most.
	digits := fmt.Sprintf("%010d", hash.Sum32())
	return tokenVolume + rand.SafeEncodeString(digits[len(digits)-5:])
}

// mountToken mounts the token into every container that has nothing else at its
// path, and adds the volume, by the given name, unless the pod brings its own.
func mountToken(pod *corev1.Pod, name string) {
	own := false
	for _, v := range pod.Spec.Volumes {
		if strings.HasPrefix(v.Name, tokenVolume) {
			name, own = v.Name, true
			break
		}
	}
	mounted := false
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			c := &containers[i]
			if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == tokenMountPath }) {
				continue
			}
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenMountPath})
			mounted = true
		}
	}
	if mounted && !own {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name:         name,
			VolumeSource: corev1.VolumeSource{Projected: tokenSource()},
		})
	}
}

// tokenSource projects the three files that an in-cluster client needs.
func tokenSource() *corev1.ProjectedVolumeSource {
	return &corev1.ProjectedVolumeSource{
		DefaultMode: ptr.To(corev1.ProjectedVolumeSourceDefaultMode),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Path:              "token",
				ExpirationSeconds: ptr.To[int64](tokenSeconds),
			}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{
				Items: []corev1.DownwardAPIVolumeFile{{
					Path:     "namespace",
					FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
				}},
			}},
		},
	}
}

// checkMirror refuses what a pod from a file could only have been given here.
func checkMirror(pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return errors.New("a mirror pod may not reference service accounts")
	}
	for range podrefs.Secrets(pod) {
		return errors.New("a mirror pod may not reference secrets")
	}
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.ServiceAccountToken != nil {
				return errors.New("a mirror pod may not use ServiceAccountToken volume projections")
			}
		}
	}
	return nil
}
