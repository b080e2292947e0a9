package validation

import (
	policyv1 "k8s.io/api/policy/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodDisruptionBudget checks a new budget. Its metadata is left to the store,
// which checks that of every object.
func PodDisruptionBudget(pdb *policyv1.PodDisruptionBudget) field.ErrorList {
	var f faults
	spec := &pdb.Spec
	if spec.MinAvailable != nil && spec.MaxUnavailable != nil {
		f.invalid(specPath, spec, "minAvailable and maxUnavailable cannot be both set")
	}
	for _, limit := range []struct {
		name  string
		value *intstr.IntOrString
	}{{"minAvailable", spec.MinAvailable}, {"maxUnavailable", spec.MaxUnavailable}} {
		if limit.value != nil {
			f.share(*limit.value, specPath.Child(limit.name))
			f.atMostAll(*limit.value, specPath.Child(limit.name))
		}
	}
	f.add(selectorAt(spec.Selector, specPath.Child("selector"))...)
	if spec.UnhealthyPodEvictionPolicy != nil {
		supported(&f, specPath.Child("unhealthyPodEvictionPolicy"), *spec.UnhealthyPodEvictionPolicy,
			policyv1.AlwaysAllow, policyv1.IfHealthyBudget)
	}
	return f.list
}

// PodDisruptionBudgetUpdate checks a changed budget.
func PodDisruptionBudgetUpdate(pdb, _ *policyv1.PodDisruptionBudget) field.ErrorList {
	return PodDisruptionBudget(pdb)
}

// PodDisruptionBudgetStatusUpdate checks a changed status of a budget.
func PodDisruptionBudgetStatusUpdate(pdb, _ *policyv1.PodDisruptionBudget) field.ErrorList {
	var f faults
	f.add(metav1validation.ValidateConditions(pdb.Status.Conditions, statusPath.Child("conditions"))...)
	f.nonNegative(statusPath.Child("disruptionsAllowed"), int64(pdb.Status.DisruptionsAllowed))
	f.nonNegative(statusPath.Child("currentHealthy"), int64(pdb.Status.CurrentHealthy))
	f.nonNegative(statusPath.Child("desiredHealthy"), int64(pdb.Status.DesiredHealthy))
	f.nonNegative(statusPath.Child("expectedPods"), int64(pdb.Status.ExpectedPods))
	return f.list
}
