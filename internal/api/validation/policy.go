package validation

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Lease checks a new lease.
func Lease(lease *coordinationv1.Lease) field.ErrorList {
	return namespaced(&lease.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// LeaseUpdate checks a changed lease.
func LeaseUpdate(lease, old *coordinationv1.Lease) field.ErrorList {
	return metaUpdate(&lease.ObjectMeta, &old.ObjectMeta)
}

// PriorityClass checks a new priority class.
func PriorityClass(pc *schedulingv1.PriorityClass) field.ErrorList {
	return clusterScoped(&pc.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// PriorityClassUpdate checks a changed priority class.
func PriorityClassUpdate(pc, old *schedulingv1.PriorityClass) field.ErrorList {
	return metaUpdate(&pc.ObjectMeta, &old.ObjectMeta)
}

// PodDisruptionBudget checks a budget, new or changed. Its metadata is checked
// by the store alone, as upstream does.
func PodDisruptionBudget(pdb *policyv1.PodDisruptionBudget) field.ErrorList { return nil }

// PodDisruptionBudgetUpdate checks a changed budget.
func PodDisruptionBudgetUpdate(pdb, _ *policyv1.PodDisruptionBudget) field.ErrorList {
	return PodDisruptionBudget(pdb)
}

// PodDisruptionBudgetStatusUpdate checks a changed status of a budget.
func PodDisruptionBudgetStatusUpdate(pdb, old *policyv1.PodDisruptionBudget) field.ErrorList {
	return nil
}

// RuntimeClass checks a new runtime class.
func RuntimeClass(rc *nodev1.RuntimeClass) field.ErrorList {
	return clusterScoped(&rc.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// RuntimeClassUpdate checks a changed runtime class.
func RuntimeClassUpdate(rc, old *nodev1.RuntimeClass) field.ErrorList {
	return metaUpdate(&rc.ObjectMeta, &old.ObjectMeta)
}
