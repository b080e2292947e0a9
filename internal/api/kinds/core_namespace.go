package kinds

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
)

func namespaces() entry {
	return kind[*corev1.Namespace]{gv: coreV1, name: "namespaces", obj: &corev1.Namespace{}, list: &corev1.NamespaceList{},
		shortNames: words{"ns"}, cluster: true, hasStatus: true,
		selectable: func(n *corev1.Namespace) fields.Set { return fields.Set{"status.phase": string(n.Status.Phase)} },
		rules: rules[*corev1.Namespace]{
			prepareCreate: func(n *corev1.Namespace) { n.Status.Phase = corev1.NamespaceActive },
		}}
}
