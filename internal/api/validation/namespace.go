package validation

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Namespace checks a new namespace.
func Namespace(ns *corev1.Namespace) field.ErrorList {
	f := faults{list: clusterScoped(&ns.ObjectMeta, apivalidation.ValidateNamespaceName)}
	for _, name := range ns.Spec.Finalizers {
		f.finalizer(string(name), specPath.Child("finalizers"))
	}
	return f.list
}

// NamespaceUpdate checks a changed namespace. Its finalizers are kept by the
// strategy, so only /finalize can change them.
func NamespaceUpdate(ns, old *corev1.Namespace) field.ErrorList {
	return metaUpdate(&ns.ObjectMeta, &old.ObjectMeta)
}

// NamespaceStatusUpdate checks a changed status: the phase follows deletion.
func NamespaceStatusUpdate(ns, old *corev1.Namespace) field.ErrorList {
	f := faults{list: metaUpdate(&ns.ObjectMeta, &old.ObjectMeta)}
	at, phase := statusPath.Child("Phase"), ns.Status.Phase
	switch deleting := !ns.DeletionTimestamp.IsZero(); {
	case !deleting && phase != corev1.NamespaceActive:
		f.invalid(at, phase, "may only be 'Active' if `deletionTimestamp` is empty")
	case deleting && phase != corev1.NamespaceTerminating:
		f.invalid(at, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")
	}
	return f.list
}

// NamespaceFinalizeUpdate checks what is written through /finalize.
func NamespaceFinalizeUpdate(ns, old *corev1.Namespace) field.ErrorList {
	f := faults{list: metaUpdate(&ns.ObjectMeta, &old.ObjectMeta)}
	for i, name := range ns.Spec.Finalizers {
		f.finalizer(string(name), specPath.Child("finalizers").Index(i))
	}
	return f.list
}

func (f *faults) finalizer(name string, at *field.Path) {
	f.add(apivalidation.ValidateFinalizerName(name, at)...)
	f.standardFinalizer(name, at)
}
