package validation

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Namespace checks a new namespace.
func Namespace(ns *corev1.Namespace) field.ErrorList {
	return clusterScoped(&ns.ObjectMeta, apivalidation.ValidateNamespaceName)
}

// NamespaceUpdate checks a changed namespace.
func NamespaceUpdate(ns, old *corev1.Namespace) field.ErrorList {
	return metaUpdate(&ns.ObjectMeta, &old.ObjectMeta)
}

// NamespaceStatusUpdate checks a changed status: the phase follows deletion.
func NamespaceStatusUpdate(ns, old *corev1.Namespace) field.ErrorList {
	return metaUpdate(&ns.ObjectMeta, &old.ObjectMeta)
}

// NamespaceFinalizeUpdate checks what is written through /finalize.
func NamespaceFinalizeUpdate(ns, old *corev1.Namespace) field.ErrorList {
	return metaUpdate(&ns.ObjectMeta, &old.ObjectMeta)
}

// ConfigMap checks a new ConfigMap.
func ConfigMap(cm *corev1.ConfigMap) field.ErrorList {
	return namespaced(&cm.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// ConfigMapUpdate checks a changed ConfigMap.
func ConfigMapUpdate(cm, old *corev1.ConfigMap) field.ErrorList {
	return metaUpdate(&cm.ObjectMeta, &old.ObjectMeta)
}

// Secret checks a new secret.
func Secret(s *corev1.Secret) field.ErrorList {
	return namespaced(&s.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// SecretUpdate checks a changed secret.
func SecretUpdate(s, old *corev1.Secret) field.ErrorList {
	return metaUpdate(&s.ObjectMeta, &old.ObjectMeta)
}

// ServiceAccount checks a new service account.
func ServiceAccount(sa *corev1.ServiceAccount) field.ErrorList {
	return namespaced(&sa.ObjectMeta, apivalidation.ValidateServiceAccountName)
}

// ServiceAccountUpdate checks a changed service account.
func ServiceAccountUpdate(sa, old *corev1.ServiceAccount) field.ErrorList {
	return append(metaUpdate(&sa.ObjectMeta, &old.ObjectMeta), ServiceAccount(sa)...)
}

// Service checks a new service.
func Service(svc *corev1.Service) field.ErrorList {
	return namespaced(&svc.ObjectMeta, apivalidation.NameIsDNS1035Label)
}

// ServiceUpdate checks a changed service.
func ServiceUpdate(svc, old *corev1.Service) field.ErrorList {
	return metaUpdate(&svc.ObjectMeta, &old.ObjectMeta)
}

// ServiceStatusUpdate checks a changed status of a service.
func ServiceStatusUpdate(svc, old *corev1.Service) field.ErrorList {
	return metaUpdate(&svc.ObjectMeta, &old.ObjectMeta)
}

// Node checks a new node.
func Node(node *corev1.Node) field.ErrorList {
	return clusterScoped(&node.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// NodeUpdate checks a changed node, spec or status: both obey the same rules.
func NodeUpdate(node, old *corev1.Node) field.ErrorList {
	return metaUpdate(&node.ObjectMeta, &old.ObjectMeta)
}

// LimitRange checks a LimitRange, new or changed.
func LimitRange(lr *corev1.LimitRange) field.ErrorList {
	return namespaced(&lr.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// ResourceQuota checks a new quota.
func ResourceQuota(rq *corev1.ResourceQuota) field.ErrorList {
	return namespaced(&rq.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// ResourceQuotaUpdate checks a changed quota.
func ResourceQuotaUpdate(rq, old *corev1.ResourceQuota) field.ErrorList {
	return metaUpdate(&rq.ObjectMeta, &old.ObjectMeta)
}

// ResourceQuotaStatusUpdate checks a changed status of a quota.
func ResourceQuotaStatusUpdate(rq, old *corev1.ResourceQuota) field.ErrorList {
	return metaUpdate(&rq.ObjectMeta, &old.ObjectMeta)
}
