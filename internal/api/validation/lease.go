package validation

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Lease checks a new lease.
func Lease(lease *coordinationv1.Lease) field.ErrorList {
	f := faults{list: anyMeta(&lease.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)}
	f.leaseSpec(&lease.Spec, specPath)
	return f.list
}

// LeaseUpdate checks a changed lease.
func LeaseUpdate(lease, old *coordinationv1.Lease) field.ErrorList {
	f := faults{list: anyMetaUpdate(&lease.ObjectMeta, &old.ObjectMeta)}
	f.leaseSpec(&lease.Spec, specPath)
	return f.list
}

func (f *faults) leaseSpec(spec *coordinationv1.LeaseSpec, at *field.Path) {
	if d := spec.LeaseDurationSeconds; d != nil && *d <= 0 {
		f.invalid(at.Child("leaseDurationSeconds"), *d, "must be greater than 0")
	}
	if t := spec.LeaseTransitions; t != nil && *t < 0 {
		f.invalid(at.Child("leaseTransitions"), *t, "must be greater than or equal to 0")
	}
	strategy := valueOf(spec.Strategy)
	if spec.Strategy != nil {
		at := at.Child("strategy", "strategy") // twice: so upstream names it
		if strings.Contains(string(strategy), "/") {
			f.qualifiedName(at, string(strategy))
		} else {
			supported(f, at, strategy, coordinationv1.OldestEmulationVersion)
		}
	}
	if valueOf(spec.PreferredHolder) != "" && strategy == "" {
		f.forbidden(at.Child("preferredHolder"), "may only be specified if `strategy` is defined")
	}
}
