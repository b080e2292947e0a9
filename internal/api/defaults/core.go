package defaults

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/utils/ptr"
)

// ConfigMap completes a ConfigMap: data is never nil.
func ConfigMap(cm *corev1.ConfigMap) {
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
}

// LimitRange completes a LimitRange: for containers the maximum is the default
// limit, which is the default request, as is the minimum where neither is set.
func LimitRange(lr *corev1.LimitRange) {
	for i := range lr.Spec.Limits {
		item := &lr.Spec.Limits[i]
		if item.Type == corev1.LimitTypeContainer {
			if item.Default == nil {
				item.Default = corev1.ResourceList{}
			}
			if item.DefaultRequest == nil {
				item.DefaultRequest = corev1.ResourceList{}
			}
			fillFrom(item.Default, item.Max)
			fillFrom(item.DefaultRequest, item.Default)
			fillFrom(item.DefaultRequest, item.Min)
		}
		roundUp(item.Max)
		roundUp(item.Min)
		roundUp(item.Default)
		roundUp(item.DefaultRequest)
		roundUp(item.MaxLimitRequestRatio)
	}
}

// Namespace completes a namespace. The label with its own name, by which
// selectors find it, has to wait until a generated name is known: the strategy
// calls Namespace again then.
func Namespace(ns *corev1.Namespace) {
	if ns.Name != "" {
		if ns.Labels == nil {
			ns.Labels = map[string]string{}
		}
		ns.Labels[corev1.LabelMetadataName] = ns.Name
	}
	setDefault(&ns.Status.Phase, corev1.NamespaceActive)
}

// Node completes a node: all of its capacity is allocatable unless it says
// otherwise, and podCIDR is the first of podCIDRs.
func Node(node *corev1.Node) {
	status := &node.Status
	if status.Allocatable == nil && status.Capacity != nil {
		status.Allocatable = status.Capacity.DeepCopy()
	}
	roundUp(status.Capacity)
	roundUp(status.Allocatable)

	spec := &node.Spec
	switch {
	case spec.PodCIDR != "" && (len(spec.PodCIDRs) == 0 || spec.PodCIDRs[0] != spec.PodCIDR):
		spec.PodCIDRs = []string{spec.PodCIDR}
	case len(spec.PodCIDRs) > 0:
		spec.PodCIDR = spec.PodCIDRs[0]
	}
}

// ResourceQuota completes a quota.
func ResourceQuota(rq *corev1.ResourceQuota) {
	roundUp(rq.Spec.Hard)
	roundUp(rq.Status.Hard)
	roundUp(rq.Status.Used)
}

// Secret completes a secret and moves stringData, which can be written but
// never read, into data.
func Secret(s *corev1.Secret) {
	setDefault(&s.Type, corev1.SecretTypeOpaque)
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = make(map[string][]byte, len(s.StringData))
	}
	for key, value := range s.StringData {
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
}

// PriorityClass completes a priority class.
func PriorityClass(pc *schedulingv1.PriorityClass) {
	setPointer(&pc.PreemptionPolicy, corev1.PreemptLowerPriority)
}

// TokenRequest completes a request for a token of a service account.
func TokenRequest(r *authenticationv1.TokenRequest) {
	if r.Spec.ExpirationSeconds == nil {
		r.Spec.ExpirationSeconds = ptr.To[int64](3600)
	}
}

// ClusterRoleBinding completes a cluster role binding.
func ClusterRoleBinding(b *rbacv1.ClusterRoleBinding) {
	setDefault(&b.RoleRef.APIGroup, rbacv1.GroupName)
	each(b.Subjects, subject)
}

// RoleBinding completes a role binding.
func RoleBinding(b *rbacv1.RoleBinding) {
	setDefault(&b.RoleRef.APIGroup, rbacv1.GroupName)
	each(b.Subjects, subject)
}

func subject(s *rbacv1.Subject) {
	if s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind {
		setDefault(&s.APIGroup, rbacv1.GroupName)
	}
}
