package tables

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/utils/ptr"
)

var persistentVolumes = table[*corev1.PersistentVolume]{
	head: head(name(),
		text("Capacity", corev1.PersistentVolumeSpec{}.SwaggerDoc()["capacity"]),
		text("Access Modes", corev1.PersistentVolumeSpec{}.SwaggerDoc()["accessModes"]),
		text("Reclaim Policy", corev1.PersistentVolumeSpec{}.SwaggerDoc()["persistentVolumeReclaimPolicy"]),
		text("Status", corev1.PersistentVolumeStatus{}.SwaggerDoc()["phase"]),
		text("Claim", corev1.PersistentVolumeSpec{}.SwaggerDoc()["claimRef"]),
		text("StorageClass", "StorageClass of the pv"),
		text("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
		text("Reason", corev1.PersistentVolumeStatus{}.SwaggerDoc()["reason"]),
		age(),
		wide(text("VolumeMode", corev1.PersistentVolumeSpec{}.SwaggerDoc()["volumeMode"]))),
	cells: func(v *corev1.PersistentVolume, now at) []any {
		claim := ""
		if ref := v.Spec.ClaimRef; ref != nil {
			claim = ref.Namespace + "/" + ref.Name
		}
		return []any{v.Name, capacity(v.Spec.Capacity), accessModes(v.Spec.AccessModes), string(v.Spec.PersistentVolumeReclaimPolicy),
			volumePhase(string(v.Status.Phase), v.DeletionTimestamp != nil), claim, v.Spec.StorageClassName,
			ptr.Deref(v.Spec.VolumeAttributesClassName, unset), v.Status.Reason, now.age(v.CreationTimestamp),
			string(ptr.Deref(v.Spec.VolumeMode, unset))}
	},
}

var persistentVolumeClaims = table[*corev1.PersistentVolumeClaim]{
	head: head(name(),
		text("Status", corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()["phase"]),
		text("Volume", corev1.PersistentVolumeClaimSpec{}.SwaggerDoc()["volumeName"]),
		text("Capacity", corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()["capacity"]),
		text("Access Modes", corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()["accessModes"]),
		text("StorageClass", "StorageClass of the pvc"),
		text("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
		age(),
		wide(text("VolumeMode", corev1.PersistentVolumeClaimSpec{}.SwaggerDoc()["volumeMode"]))),
	cells: func(c *corev1.PersistentVolumeClaim, now at) []any {
		size, modes := "", ""
		if c.Spec.VolumeName != "" {
			size, modes = capacity(c.Status.Capacity), accessModes(c.Status.AccessModes)
		}
		return []any{c.Name, volumePhase(string(c.Status.Phase), c.DeletionTimestamp != nil), c.Spec.VolumeName, size, modes,
			ptr.Deref(c.Spec.StorageClassName, ""), ptr.Deref(c.Spec.VolumeAttributesClassName, unset),
			now.age(c.CreationTimestamp), string(ptr.Deref(c.Spec.VolumeMode, unset))}
	},
}

func volumePhase(phase string, deleted bool) string {
	if deleted {
		return "Terminating"
	}
	return phase
}

func capacity(l corev1.ResourceList) string {
	size := l[corev1.ResourceStorage]
	return size.String()
}

// accessModes abbreviates the modes, in the order in which they widen access.
func accessModes(modes []corev1.PersistentVolumeAccessMode) string {
	var out []string
	for _, m := range []struct {
		mode  corev1.PersistentVolumeAccessMode
		short string
	}{
		{corev1.ReadWriteOnce, "RWO"},
		{corev1.ReadOnlyMany, "ROX"},
		{corev1.ReadWriteMany, "RWX"},
		{corev1.ReadWriteOncePod, "RWOP"},
	} {
		if slices.Contains(modes, m.mode) {
			out = append(out, m.short)
		}
	}
	return strings.Join(out, ",")
}

var csiDriverDoc = storagev1.CSIDriverSpec{}.SwaggerDoc()

var csiDrivers = table[*storagev1.CSIDriver]{
	head: head(name(),
		truth("AttachRequired", csiDriverDoc["attachRequired"]),
		truth("PodInfoOnMount", csiDriverDoc["podInfoOnMount"]),
		truth("StorageCapacity", csiDriverDoc["storageCapacity"]),
		text("TokenRequests", csiDriverDoc["tokenRequests"]),
		truth("RequiresRepublish", csiDriverDoc["requiresRepublish"]),
		text("Modes", csiDriverDoc["volumeLifecycleModes"]),
		age()),
	cells: func(d *storagev1.CSIDriver, now at) []any {
		modes := make([]string, len(d.Spec.VolumeLifecycleModes))
		for i, m := range d.Spec.VolumeLifecycleModes {
			modes[i] = string(m)
		}
		audiences := make([]string, len(d.Spec.TokenRequests))
		for i, r := range d.Spec.TokenRequests {
			audiences[i] = r.Audience
		}
		return []any{d.Name, ptr.Deref(d.Spec.AttachRequired, true), ptr.Deref(d.Spec.PodInfoOnMount, false),
			ptr.Deref(d.Spec.StorageCapacity, false), or(strings.Join(audiences, ","), unset),
			ptr.Deref(d.Spec.RequiresRepublish, false), or(strings.Join(modes, ","), none), now.age(d.CreationTimestamp)}
	},
}

const defaultClass = "storageclass.kubernetes.io/is-default-class"

var storageClassDoc = storagev1.StorageClass{}.SwaggerDoc()

var storageClasses = table[*storagev1.StorageClass]{
	head: head(name(),
		text("Provisioner", storageClassDoc["provisioner"]),
		text("ReclaimPolicy", storageClassDoc["reclaimPolicy"]),
		text("VolumeBindingMode", storageClassDoc["volumeBindingMode"]),
		truth("AllowVolumeExpansion", storageClassDoc["allowVolumeExpansion"]),
		age()),
	cells: func(c *storagev1.StorageClass, now at) []any {
		shown := c.Name
		if c.Annotations[defaultClass] == "true" {
			shown += " (default)"
		}
		return []any{shown, c.Provisioner, string(ptr.Deref(c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)),
			string(ptr.Deref(c.VolumeBindingMode, storagev1.VolumeBindingImmediate)), ptr.Deref(c.AllowVolumeExpansion, false),
			now.age(c.CreationTimestamp)}
	},
}
