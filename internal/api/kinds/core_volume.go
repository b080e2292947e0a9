package kinds

import (
	corev1 "k8s.io/api/core/v1"
)

// Volumes and claims are stored as they are; nothing here binds them.

func persistentVolumes() entry {
	return kind[*corev1.PersistentVolume]{gv: coreV1, name: "persistentvolumes", obj: &corev1.PersistentVolume{}, list: &corev1.PersistentVolumeList{},
		shortNames: words{"pv"}, cluster: true, hasStatus: true, returnsDeleted: true,
		rules: rules[*corev1.PersistentVolume]{
			prepareCreate: func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumePending },
		},
	}
}

func persistentVolumeClaims() entry {
	return kind[*corev1.PersistentVolumeClaim]{gv: coreV1, name: "persistentvolumeclaims", obj: &corev1.PersistentVolumeClaim{}, list: &corev1.PersistentVolumeClaimList{},
		shortNames: words{"pvc"}, hasStatus: true, returnsDeleted: true,
		rules: rules[*corev1.PersistentVolumeClaim]{
			prepareCreate: func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimPending },
		},
	}
}
