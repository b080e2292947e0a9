package kinds

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/garrison-project/garrison/internal/api/validation"
)

func services() entry {
	return kind[*corev1.Service]{gv: coreV1, name: "services", obj: &corev1.Service{}, list: &corev1.ServiceList{},
		shortNames: words{"svc"}, categories: words{"all"}, hasStatus: true, createOnUpdate: true,
		selectable: func(s *corev1.Service) fields.Set {
			return fields.Set{"spec.clusterIP": s.Spec.ClusterIP, "spec.type": string(s.Spec.Type)}
		},
		rules: rules[*corev1.Service]{
			validate:       validation.Service,
			validateUpdate: validation.ServiceUpdate,
			validateStatus: validation.ServiceStatusUpdate,
		},
	}
}
