package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
)

// nodeTaint is TaintNodesByCondition: a node starts as not ready, so that
// nothing is placed on it before its first condition has been looked at.
type nodeTaint struct{ *admission.Handler }

var _ admission.MutationInterface = nodeTaint{}

func newNodeTaint() nodeTaint {
	return nodeTaint{admission.NewHandler(admission.Create)}
}

func (nodeTaint) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != nodes || a.GetSubresource() != "" {
		return nil
	}
	node, ok := a.GetObject().(*corev1.Node)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("expected a Node but got %T", a.GetObject()))
	}
	addNotReadyTaint(node)
	return nil
}

func addNotReadyTaint(node *corev1.Node) {
	notReady := corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
	for i := range node.Spec.Taints {
		if node.Spec.Taints[i].MatchTaint(&notReady) {
			return
		}
	}
	node.Spec.Taints = append(node.Spec.Taints, notReady)
}
