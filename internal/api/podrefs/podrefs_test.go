package podrefs

import (
	"iter"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func local(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }

func env(secret, configMap string) ([]corev1.EnvVar, []corev1.EnvFromSource) {
	return []corev1.EnvVar{
			{Name: "plain", Value: "x"},
			{Name: "field", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{}}},
			{Name: "s", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local(secret)}}},
			{Name: "m", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: local(configMap)}}},
		}, []corev1.EnvFromSource{
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: local(secret + "-all")}},
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local(configMap + "-all")}},
		}
}

// full names an object in every place there is.
func full() *corev1.Pod {
	ref := func(name string) *corev1.LocalObjectReference { r := local(name); return &r }
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{local("pull"), local("")}
	var init, main corev1.Container
	var debug corev1.EphemeralContainer
	init.Env, init.EnvFrom = env("s-init", "m-init")
	main.Env, main.EnvFrom = env("s-main", "m-main")
	debug.Env, debug.EnvFrom = env("s-debug", "m-debug")
	pod.Spec.InitContainers, pod.Spec.Containers = []corev1.Container{init}, []corev1.Container{main}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{debug}
	for _, source := range []corev1.VolumeSource{
		{HostPath: &corev1.HostPathVolumeSource{}},
		{Secret: &corev1.SecretVolumeSource{SecretName: "volume"}},
		{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: local("volume")}},
		{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: local("projected")}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: local("projected")}},
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}},
		}}},
		{AzureFile: &corev1.AzureFileVolumeSource{SecretName: "azure"}},
		{CephFS: &corev1.CephFSVolumeSource{SecretRef: ref("ceph")}},
		{Cinder: &corev1.CinderVolumeSource{SecretRef: ref("cinder")}},
		{FlexVolume: &corev1.FlexVolumeSource{SecretRef: ref("flex")}},
		{RBD: &corev1.RBDVolumeSource{SecretRef: ref("rbd")}},
		{ScaleIO: &corev1.ScaleIOVolumeSource{SecretRef: ref("scaleio")}},
		{ISCSI: &corev1.ISCSIVolumeSource{SecretRef: ref("iscsi")}},
		{StorageOS: &corev1.StorageOSVolumeSource{SecretRef: ref("storageos")}},
		{CSI: &corev1.CSIVolumeSource{NodePublishSecretRef: ref("csi")}},
		{CSI: &corev1.CSIVolumeSource{}},
		{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "claim"}},
		{Ephemeral: &corev1.EphemeralVolumeSource{}},
	} {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "v", VolumeSource: source})
	}
	return pod
}

func TestReferences(t *testing.T) {
	for name, c := range map[string]struct {
		got  func(*corev1.Pod) iter.Seq[string]
		want []string
	}{
		"secrets": {Secrets, []string{
			"pull", "s-init", "s-init-all", "s-main", "s-main-all", "s-debug", "s-debug-all",
			"volume", "projected", "azure", "ceph", "cinder", "flex", "rbd", "scaleio", "iscsi", "storageos", "csi"}},
		"config maps": {ConfigMaps, []string{
			"m-init", "m-init-all", "m-main", "m-main-all", "m-debug", "m-debug-all", "volume", "projected"}},
		"claims": {Claims, []string{"claim", "p-v"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := slices.Collect(c.got(full())); !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
			if got := slices.Collect(c.got(&corev1.Pod{})); got != nil {
				t.Errorf("of an empty pod: %v", got)
			}
			// Whoever has seen enough may stop anywhere.
			for n := range c.want {
				seen := 0
				for range c.got(full()) {
					if seen++; seen > n {
						break
					}
				}
				if seen != n+1 {
					t.Errorf("stopped after %d, saw %d", n+1, seen)
				}
			}
		})
	}
}
