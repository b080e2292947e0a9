package kinds

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/garrison-project/garrison/internal/api/validation"
)

func priorityClasses() entry {
	return kind[*schedulingv1.PriorityClass]{gv: schedulingV1, name: "priorityclasses", obj: &schedulingv1.PriorityClass{}, list: &schedulingv1.PriorityClassList{},
		shortNames: words{"pc"}, cluster: true,
		rules: rules[*schedulingv1.PriorityClass]{
			prepareCreate:  func(p *schedulingv1.PriorityClass) { p.Generation = 1 },
			validate:       validation.PriorityClass,
			validateUpdate: validation.PriorityClassUpdate,
		},
	}
}

func podDisruptionBudgets() entry {
	return kind[*policyv1.PodDisruptionBudget]{gv: policyV1, name: "poddisruptionbudgets", obj: &policyv1.PodDisruptionBudget{}, list: &policyv1.PodDisruptionBudgetList{},
		shortNames: words{"pdb"}, hasStatus: true, generation: true, conditional: true,
		rules: rules[*policyv1.PodDisruptionBudget]{
			validate:       validation.PodDisruptionBudget,
			validateUpdate: validation.PodDisruptionBudgetUpdate,
			validateStatus: validation.PodDisruptionBudgetStatusUpdate,
		},
	}
}

func leases() entry {
	return kind[*coordinationv1.Lease]{gv: coordinationV1, name: "leases", obj: &coordinationv1.Lease{}, list: &coordinationv1.LeaseList{},
		createOnUpdate: true, conditional: true,
		rules: rules[*coordinationv1.Lease]{
			validate:       validation.Lease,
			validateUpdate: validation.LeaseUpdate,
		},
	}
}

func runtimeClasses() entry {
	return kind[*nodev1.RuntimeClass]{gv: nodeV1, name: "runtimeclasses", obj: &nodev1.RuntimeClass{}, list: &nodev1.RuntimeClassList{},
		cluster: true, conditional: true,
		rules: rules[*nodev1.RuntimeClass]{
			validate:       validation.RuntimeClass,
			validateUpdate: validation.RuntimeClassUpdate,
		},
	}
}
