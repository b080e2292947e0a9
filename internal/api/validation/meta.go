package validation

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	metadataPath = field.NewPath("metadata")
	specPath     = field.NewPath("spec")
	statusPath   = field.NewPath("status")
)

// namespaced checks the metadata of a new object that lives in a namespace.
func namespaced(meta *metav1.ObjectMeta, name apivalidation.ValidateNameFunc) field.ErrorList {
	return objectMeta(meta, true, name)
}

// clusterScoped checks the metadata of a new object that lives in none.
func clusterScoped(meta *metav1.ObjectMeta, name apivalidation.ValidateNameFunc) field.ErrorList {
	return objectMeta(meta, false, name)
}

func objectMeta(meta *metav1.ObjectMeta, inNamespace bool, name apivalidation.ValidateNameFunc) field.ErrorList {
	return append(anyMeta(meta, inNamespace, name), finalizerNames(meta.Finalizers)...)
}

// anyMeta is objectMeta for the few kinds that take any finalizer.
func anyMeta(meta *metav1.ObjectMeta, inNamespace bool, name apivalidation.ValidateNameFunc) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(meta, inNamespace, name, metadataPath)
	return settle(errs, metadataPath, "labels", "annotations")
}

// metaUpdate checks the metadata of a changed object.
func metaUpdate(meta, old *metav1.ObjectMeta) field.ErrorList {
	return append(anyMetaUpdate(meta, old), finalizerNames(meta.Finalizers)...)
}

func anyMetaUpdate(meta, old *metav1.ObjectMeta) field.ErrorList {
	return settle(apivalidation.ValidateObjectMetaUpdate(meta, old, metadataPath), metadataPath, "labels", "annotations")
}

func finalizerNames(finalizers []string) field.ErrorList {
	var f faults
	for i, name := range finalizers {
		f.standardFinalizer(name, metadataPath.Child("finalizers").Index(i))
	}
	return f.list
}

// standardFinalizer wants a finalizer without a domain to be a built-in one.
func (f *faults) standardFinalizer(name string, at *field.Path) {
	if !strings.Contains(name, "/") && !isStandardFinalizer(name) {
		f.invalid(at, name, "name is neither a standard finalizer name nor is it fully qualified")
	}
}

func isStandardFinalizer(name string) bool {
	return name == string(corev1.FinalizerKubernetes) ||
		name == metav1.FinalizerOrphanDependents || name == metav1.FinalizerDeleteDependents
}

// settle orders the errors about each of the named fields, which apimachinery
// reports in the order of a map.
func settle(errs field.ErrorList, path *field.Path, names ...string) field.ErrorList {
	for _, name := range names {
		at := path.Child(name).String()
		first := slices.IndexFunc(errs, func(e *field.Error) bool { return e.Field == at })
		if first < 0 {
			continue
		}
		last := first
		for last < len(errs) && errs[last].Field == at {
			last++
		}
		sortErrors(errs[first:last])
	}
	return errs
}

func sortErrors(errs field.ErrorList) {
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return cmp.Compare(a.Error(), b.Error()) })
}

// labelsAt checks the syntax of labels.
func labelsAt(labels map[string]string, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabels(labels, path)
	sortErrors(errs)
	return errs
}

// annotationsAt checks the syntax and the size of annotations.
func annotationsAt(annotations map[string]string, path *field.Path) field.ErrorList {
	errs := apivalidation.ValidateAnnotations(annotations, path)
	sortErrors(errs)
	return errs
}

// selectorAt checks the syntax of a label selector, which may be nil.
func selectorAt(selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, path)
	return settle(errs, path, "matchLabels")
}

func isSubdomain(name string) []string { return validation.IsDNS1123Subdomain(name) }

// unchanged demands that a field keep its value.
func unchanged(value, old any, path *field.Path) field.ErrorList {
	return apivalidation.ValidateImmutableField(value, old, path)
}
