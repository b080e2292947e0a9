package kinds

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/garrison-project/garrison/internal/api/validation"
)

// nodes keep the status they are created with: an agent registers its machine
// with one write.
func nodes() entry {
	return kind[*corev1.Node]{gv: coreV1, name: "nodes", obj: &corev1.Node{}, list: &corev1.NodeList{},
		shortNames: words{"no"}, cluster: true, hasStatus: true, keepsStatus: true,
		selectable: func(n *corev1.Node) fields.Set {
			return fields.Set{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
		},
		rules: rules[*corev1.Node]{
			validate:       validation.Node,
			validateUpdate: validation.NodeUpdate,
			validateStatus: validation.NodeStatusUpdate,
		},
	}
}
