package kinds

import (
	"net/netip"

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

// giveClusterIPs lets the stores of services claim IPs from network.
func (s *Set) giveClusterIPs(network netip.Prefix) {
	services := coreV1.WithResource("services").GroupResource()
	c := &clusterIPs{
		services:  s.Store(services),
		addresses: s.Store(networkingV1.WithResource("ipaddresses").GroupResource()),
		network:   network,
	}
	c.hook(s.Store(services))
	c.hook(s.StatusStore(services))
}
