package validation

import (
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// RuntimeClass checks a new runtime class.
func RuntimeClass(rc *nodev1.RuntimeClass) field.ErrorList {
	f := faults{list: anyMeta(&rc.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)}
	if handler := field.NewPath("handler"); f.needs(handler, rc.Handler) {
		f.label(handler, rc.Handler)
	}
	if rc.Overhead != nil {
		f.containerResources(&corev1.ResourceRequirements{Limits: rc.Overhead.PodFixed}, nil, field.NewPath("overhead"))
	}
	if rc.Scheduling == nil {
		return f.list
	}
	at := field.NewPath("scheduling")
	f.add(labelsAt(rc.Scheduling.NodeSelector, at.Child("nodeSelector"))...)
	f.tolerations(rc.Scheduling.Tolerations, at.Child("tolerations"))
	known := seen[corev1.Toleration]{}
	for i, t := range rc.Scheduling.Tolerations {
		key := t
		key.TolerationSeconds = nil
		if known.again(key) {
			f.duplicate(at.Child("tolerations").Index(i), t)
		}
	}
	return f.list
}

// RuntimeClassUpdate checks a changed runtime class, whose handler must stay.
func RuntimeClassUpdate(rc, old *nodev1.RuntimeClass) field.ErrorList {
	errs := append(RuntimeClass(rc), anyMetaUpdate(&rc.ObjectMeta, &old.ObjectMeta)...)
	return append(errs, unchanged(rc.Handler, old.Handler, field.NewPath("handler"))...)
}
