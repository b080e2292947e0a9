package validation

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// rbacName accepts any name that can stand in a URL.
func rbacName(name string, _ bool) []string { return content.IsPathSegmentName(name) }

// Role checks a new role.
func Role(role *rbacv1.Role) field.ErrorList {
	f := faults{list: namespaced(&role.ObjectMeta, rbacName)}
	for i := range role.Rules {
		f.policyRule(&role.Rules[i], true, field.NewPath("rules").Index(i))
	}
	return f.list
}

// RoleUpdate checks a changed role.
func RoleUpdate(role, old *rbacv1.Role) field.ErrorList {
	return append(Role(role), metaUpdate(&role.ObjectMeta, &old.ObjectMeta)...)
}

// ClusterRole checks a new cluster role.
func ClusterRole(role *rbacv1.ClusterRole) field.ErrorList {
	f := faults{list: clusterScoped(&role.ObjectMeta, rbacName)}
	for i := range role.Rules {
		f.policyRule(&role.Rules[i], false, field.NewPath("rules").Index(i))
	}
	if role.AggregationRule == nil {
		return f.list
	}
	at := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(role.AggregationRule.ClusterRoleSelectors) == 0 {
		f.required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil")
	}
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, at := &role.AggregationRule.ClusterRoleSelectors[i], at.Index(i)
		f.add(selectorAt(selector, at)...)
		if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
			f.invalid(at, selector, "invalid label selector.")
		}
	}
	return f.list
}

// ClusterRoleUpdate checks a changed cluster role.
func ClusterRoleUpdate(role, old *rbacv1.ClusterRole) field.ErrorList {
	return append(ClusterRole(role), metaUpdate(&role.ObjectMeta, &old.ObjectMeta)...)
}

func (f *faults) policyRule(rule *rbacv1.PolicyRule, inNamespace bool, at *field.Path) {
	if len(rule.Verbs) == 0 {
		f.required(at.Child("verbs"), "verbs must contain at least one value")
	}
	if len(rule.NonResourceURLs) > 0 {
		if inNamespace {
			f.invalid(at.Child("nonResourceURLs"), rule.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs")
		}
		if len(rule.APIGroups)+len(rule.Resources)+len(rule.ResourceNames) > 0 {
			f.invalid(at.Child("nonResourceURLs"), rule.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs")
		}
		return
	}
	if len(rule.APIGroups) == 0 {
		f.required(at.Child("apiGroups"), "resource rules must supply at least one api group")
	}
	if len(rule.Resources) == 0 {
		f.required(at.Child("resources"), "resource rules must supply at least one resource")
	}
}

// RoleBinding checks a new role binding.
func RoleBinding(b *rbacv1.RoleBinding) field.ErrorList {
	f := faults{list: namespaced(&b.ObjectMeta, rbacName)}
	f.roleRef(&b.RoleRef, "Role", "ClusterRole")
	f.subjects(b.Subjects, true)
	return f.list
}

// RoleBindingUpdate checks a changed role binding, whose role must stay.
func RoleBindingUpdate(b, old *rbacv1.RoleBinding) field.ErrorList {
	f := faults{list: RoleBinding(b)}
	f.add(metaUpdate(&b.ObjectMeta, &old.ObjectMeta)...)
	f.sameRole(b.RoleRef, old.RoleRef)
	return f.list
}

// ClusterRoleBinding checks a new cluster role binding.
func ClusterRoleBinding(b *rbacv1.ClusterRoleBinding) field.ErrorList {
	f := faults{list: clusterScoped(&b.ObjectMeta, rbacName)}
	f.roleRef(&b.RoleRef, "ClusterRole")
	f.subjects(b.Subjects, false)
	return f.list
}

// ClusterRoleBindingUpdate checks a changed cluster role binding, whose role
// must stay.
func ClusterRoleBindingUpdate(b, old *rbacv1.ClusterRoleBinding) field.ErrorList {
	f := faults{list: ClusterRoleBinding(b)}
	f.add(metaUpdate(&b.ObjectMeta, &old.ObjectMeta)...)
	f.sameRole(b.RoleRef, old.RoleRef)
	return f.list
}

func (f *faults) roleRef(ref *rbacv1.RoleRef, kinds ...string) {
	at := field.NewPath("roleRef")
	supported(f, at.Child("apiGroup"), ref.APIGroup, rbacv1.GroupName)
	supported(f, at.Child("kind"), ref.Kind, kinds...)
	if f.needs(at.Child("name"), ref.Name) {
		f.messages(at.Child("name"), ref.Name, rbacName(ref.Name, false))
	}
}

func (f *faults) sameRole(ref, old rbacv1.RoleRef) {
	if ref != old {
		f.invalid(field.NewPath("roleRef"), ref, "cannot change roleRef")
	}
}

// subjects checks who is given the role. An account needs a namespace where
// the binding has none.
func (f *faults) subjects(list []rbacv1.Subject, inNamespace bool) {
	for i, s := range list {
		at := field.NewPath("subjects").Index(i)
		named := f.needs(at.Child("name"), s.Name)
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			if named {
				f.messages(at.Child("name"), s.Name, apivalidation.ValidateServiceAccountName(s.Name, false))
			}
			supported(f, at.Child("apiGroup"), s.APIGroup, "")
			if !inNamespace {
				f.needs(at.Child("namespace"), s.Namespace)
			}
		case rbacv1.UserKind, rbacv1.GroupKind:
			supported(f, at.Child("apiGroup"), s.APIGroup, rbacv1.GroupName)
		default:
			supported(f, at.Child("kind"), s.Kind, rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind)
		}
	}
}
