package oracle

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/garrison-project/garrison/internal/api/validation"
)

func validate(obj runtime.Object) field.ErrorList {
	switch o := obj.(type) {
	case *corev1.ConfigMap:
		return validation.ConfigMap(o)
	case *appsv1.ControllerRevision:
		return validation.ControllerRevision(o)
	case *appsv1.DaemonSet:
		return validation.DaemonSet(o)
	case *coordinationv1.Lease:
		return validation.Lease(o)
	case *corev1.LimitRange:
		return validation.LimitRange(o)
	case *corev1.Namespace:
		return validation.Namespace(o)
	case *corev1.Node:
		return validation.Node(o)
	case *corev1.Pod:
		return validation.Pod(o)
	case *policyv1.PodDisruptionBudget:
		return validation.PodDisruptionBudget(o)
	case *schedulingv1.PriorityClass:
		return validation.PriorityClass(o)
	case *appsv1.ReplicaSet:
		return validation.ReplicaSet(o)
	case *corev1.ResourceQuota:
		return validation.ResourceQuota(o)
	case *nodev1.RuntimeClass:
		return validation.RuntimeClass(o)
	case *corev1.Secret:
		return validation.Secret(o)
	case *corev1.Service:
		return validation.Service(o)
	case *corev1.ServiceAccount:
		return validation.ServiceAccount(o)
	default:
		panic(fmt.Sprintf("nothing validates %T", obj))
	}
}

func validateUpdate(obj, old runtime.Object) field.ErrorList {
	switch o := obj.(type) {
	case *corev1.ConfigMap:
		return validation.ConfigMapUpdate(o, old.(*corev1.ConfigMap))
	case *appsv1.ControllerRevision:
		return validation.ControllerRevisionUpdate(o, old.(*appsv1.ControllerRevision))
	case *appsv1.DaemonSet:
		return validation.DaemonSetUpdate(o, old.(*appsv1.DaemonSet))
	case *coordinationv1.Lease:
		return validation.LeaseUpdate(o, old.(*coordinationv1.Lease))
	case *corev1.LimitRange:
		return validation.LimitRange(o)
	case *corev1.Namespace:
		return validation.NamespaceUpdate(o, old.(*corev1.Namespace))
	case *corev1.Node:
		return validation.NodeUpdate(o, old.(*corev1.Node))
	case *corev1.Pod:
		return validation.PodUpdate(o, old.(*corev1.Pod))
	case *policyv1.PodDisruptionBudget:
		return validation.PodDisruptionBudgetUpdate(o, old.(*policyv1.PodDisruptionBudget))
	case *schedulingv1.PriorityClass:
		return validation.PriorityClassUpdate(o, old.(*schedulingv1.PriorityClass))
	case *appsv1.ReplicaSet:
		return validation.ReplicaSetUpdate(o, old.(*appsv1.ReplicaSet))
	case *corev1.ResourceQuota:
		return validation.ResourceQuotaUpdate(o, old.(*corev1.ResourceQuota))
	case *nodev1.RuntimeClass:
		return validation.RuntimeClassUpdate(o, old.(*nodev1.RuntimeClass))
	case *corev1.Secret:
		return validation.SecretUpdate(o, old.(*corev1.Secret))
	case *corev1.Service:
		return validation.ServiceUpdate(o, old.(*corev1.Service))
	case *corev1.ServiceAccount:
		return validation.ServiceAccountUpdate(o, old.(*corev1.ServiceAccount))
	default:
		panic(fmt.Sprintf("nothing validates updates of %T", obj))
	}
}
