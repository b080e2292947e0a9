package kinds

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
)

func nodes() entry {
	return kind[*corev1.Node]{gv: coreV1, name: "nodes", obj: &corev1.Node{}, list: &corev1.NodeList{},
		shortNames: words{"no"}, cluster: true, hasStatus: true,
		selectable: func(n *corev1.Node) fields.Set {
			return fields.Set{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
		}}
}
