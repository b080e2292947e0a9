package validation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// claimTemplate checks the claim that is made for a pod's ephemeral volume. Of
// its metadata only labels and annotations are used.
func (f *faults) claimTemplate(t *corev1.PersistentVolumeClaimTemplate, at *field.Path) {
	meta := at.Child("metadata")
	f.add(annotationsAt(t.Annotations, meta.Child("annotations"))...)
	f.add(labelsAt(t.Labels, meta.Child("labels"))...)
	f.add(onlyFields(t.ObjectMeta, "cannot be set", meta, "annotations", "labels")...)
	f.claimSpec(&t.Spec, at.Child("spec"))
}

func (f *faults) claimSpec(spec *corev1.PersistentVolumeClaimSpec, at *field.Path) {
	if len(spec.AccessModes) == 0 {
		f.required(at.Child("accessModes"), "at least 1 access mode is required")
	}
	f.add(selectorAt(spec.Selector, at.Child("selector"))...)
	f.accessModes(spec.AccessModes, at.Child("accessModes"))

	storage := at.Child("resources").Key(string(corev1.ResourceStorage))
	switch size, set := spec.Resources.Requests[corev1.ResourceStorage]; {
	case !set:
		f.required(storage, "")
	case size.Sign() <= 0:
		f.invalid(storage, size.String(), "must be greater than zero")
	}
	if class := spec.StorageClassName; class != nil && *class != "" {
		f.subdomain(at.Child("storageClassName"), *class)
	}
	if spec.VolumeMode != nil {
		supported(f, at.Child("volumeMode"), *spec.VolumeMode,
			corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
	}
	f.dataSources(spec, at)
	if class := spec.VolumeAttributesClassName; class != nil && *class != "" {
		f.subdomain(at.Child("volumeAttributesClassName"), *class)
	}
}

func (f *faults) accessModes(modes []corev1.PersistentVolumeAccessMode, at *field.Path) {
	all := []corev1.PersistentVolumeAccessMode{
		corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod,
	}
	shared := false
	for _, mode := range modes {
		supported(f, at, mode, all...)
		shared = shared || mode != corev1.ReadWriteOncePod && slices.Contains(all, mode)
	}
	if shared && slices.Contains(modes, corev1.ReadWriteOncePod) {
		f.forbidden(at, "may not use ReadWriteOncePod with other access modes")
	}
}

// dataSources checks what a volume is filled from. There are two fields for
// it, an older and a newer one, which must agree.
func (f *faults) dataSources(spec *corev1.PersistentVolumeClaimSpec, at *field.Path) {
	older, newer := spec.DataSource, spec.DataSourceRef
	if older != nil {
		f.dataSource(*older, at.Child("dataSource"))
	}
	if newer == nil {
		return
	}
	asOlder := corev1.TypedLocalObjectReference{APIGroup: newer.APIGroup, Kind: newer.Kind, Name: newer.Name}
	f.dataSource(asOlder, at.Child("dataSourceRef"))
	elsewhere := newer.Namespace != nil && *newer.Namespace != ""
	if elsewhere {
		f.messages(at.Child("dataSourceRef", "namespace"), *newer.Namespace,
			apivalidation.ValidateNamespaceName(*newer.Namespace, false))
	}
	switch {
	case older == nil:
	case elsewhere:
		f.invalid(at, at.Child("dataSource").String(), "may not be specified when dataSourceRef.namespace is specified")
	case !apiequality.Semantic.DeepEqual(*older, asOlder):
		f.invalid(at, at.Child("dataSource").String(), "must match dataSourceRef")
	}
}

func (f *faults) dataSource(ref corev1.TypedLocalObjectReference, at *field.Path) {
	f.needs(at.Child("name"), ref.Name)
	f.needs(at.Child("kind"), ref.Kind)
	if ref.APIGroup != nil && *ref.APIGroup != "" {
		f.subdomain(at.Child("apiGroup"), *ref.APIGroup)
	} else if ref.Kind != "PersistentVolumeClaim" {
		f.invalid(at, ref.Kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
	}
}
