package defaults

import (
	corev1 "k8s.io/api/core/v1"
)

// volume completes a volume of a pod or template. One without a source is an
// empty directory.
func volume(v *corev1.Volume) {
	if v.VolumeSource == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	hostPath(v.HostPath)
	azureDisk(v.AzureDisk)
	fileVolumes(&v.VolumeSource)
	if v.Image != nil {
		setDefault(&v.Image.PullPolicy, pullPolicy(v.Image.Reference))
	}
	if v.ISCSI != nil {
		setDefault(&v.ISCSI.ISCSIInterface, "default")
	}
	if v.RBD != nil {
		rbd(&v.RBD.RBDPool, &v.RBD.RadosUser, &v.RBD.Keyring)
	}
	if v.ScaleIO != nil {
		scaleIO(&v.ScaleIO.StorageMode, &v.ScaleIO.FSType)
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		claimSpec(&v.Ephemeral.VolumeClaimTemplate.Spec)
	}
}

// fileVolumes completes the volumes made of generated files.
func fileVolumes(v *corev1.VolumeSource) {
	if v.Secret != nil {
		setPointer(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	}
	if v.ConfigMap != nil {
		setPointer(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	}
	if v.DownwardAPI != nil {
		setPointer(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		downwardAPI(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		setPointer(&v.Projected.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
		each(v.Projected.Sources, projection)
	}
}

func projection(source *corev1.VolumeProjection) {
	if source.DownwardAPI != nil {
		downwardAPI(source.DownwardAPI.Items)
	}
	if source.ServiceAccountToken != nil {
		setPointer(&source.ServiceAccountToken.ExpirationSeconds, 60*60)
	}
}

func downwardAPI(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		fieldRef(items[i].FieldRef)
	}
}

func hostPath(h *corev1.HostPathVolumeSource) {
	if h != nil {
		setPointer(&h.Type, corev1.HostPathUnset)
	}
}

func azureDisk(d *corev1.AzureDiskVolumeSource) {
	if d != nil {
		setPointer(&d.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		setPointer(&d.FSType, "ext4")
		setPointer(&d.ReadOnly, false)
		setPointer(&d.Kind, corev1.AzureSharedBlobDisk)
	}
}

func rbd(pool, user, keyring *string) {
	setDefault(pool, "rbd")
	setDefault(user, "admin")
	setDefault(keyring, "/etc/ceph/keyring")
}

func scaleIO(storageMode, fsType *string) {
	setDefault(storageMode, "ThinProvisioned")
	setDefault(fsType, "xfs")
}

// PersistentVolume completes a persistent volume.
func PersistentVolume(pv *corev1.PersistentVolume) {
	setDefault(&pv.Status.Phase, corev1.VolumePending)
	setDefault(&pv.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	setPointer(&pv.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundUp(pv.Spec.Capacity)
	source := &pv.Spec.PersistentVolumeSource
	hostPath(source.HostPath)
	azureDisk(source.AzureDisk)
	if source.ISCSI != nil {
		setDefault(&source.ISCSI.ISCSIInterface, "default")
	}
	if source.RBD != nil {
		rbd(&source.RBD.RBDPool, &source.RBD.RadosUser, &source.RBD.Keyring)
	}
	if source.ScaleIO != nil {
		scaleIO(&source.ScaleIO.StorageMode, &source.ScaleIO.FSType)
	}
}

// PersistentVolumeClaim completes a claim.
func PersistentVolumeClaim(pvc *corev1.PersistentVolumeClaim) {
	setDefault(&pvc.Status.Phase, corev1.ClaimPending)
	claimSpec(&pvc.Spec)
	roundUp(pvc.Status.Capacity)
	roundUp(pvc.Status.AllocatedResources)
}

func claimSpec(spec *corev1.PersistentVolumeClaimSpec) {
	setPointer(&spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundUp(spec.Resources.Limits)
	roundUp(spec.Resources.Requests)
}
