package tables

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

var priorityClasses = table[*schedulingv1.PriorityClass]{
	head: head(name(),
		number("Value", schedulingv1.PriorityClass{}.SwaggerDoc()["value"]),
		truth("Global-Default", schedulingv1.PriorityClass{}.SwaggerDoc()["globalDefault"]),
		age(),
		text("PreemptionPolicy", schedulingv1.PriorityClass{}.SwaggerDoc()["preemptionPolicy"])),
	cells: func(p *schedulingv1.PriorityClass, now at) []any {
		return []any{p.Name, int64(p.Value), p.GlobalDefault, now.age(p.CreationTimestamp),
			string(ptr.Deref(p.PreemptionPolicy, corev1.PreemptLowerPriority))}
	},
}

var podDisruptionBudgets = table[*policyv1.PodDisruptionBudget]{
	head: head(name(),
		text("Min Available", "The minimum number of pods that must be available."),
		text("Max Unavailable", "The maximum number of pods that may be unavailable."),
		number("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time."),
		age()),
	cells: func(b *policyv1.PodDisruptionBudget, now at) []any {
		return []any{b.Name, amount(b.Spec.MinAvailable), amount(b.Spec.MaxUnavailable), int64(b.Status.DisruptionsAllowed),
			now.age(b.CreationTimestamp)}
	},
}

func amount(v *intstr.IntOrString) string {
	if v == nil {
		return "N/A"
	}
	return v.String()
}

var leases = table[*coordinationv1.Lease]{
	head: head(name(), text("Holder", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]), age()),
	cells: func(l *coordinationv1.Lease, now at) []any {
		return []any{l.Name, ptr.Deref(l.Spec.HolderIdentity, ""), now.age(l.CreationTimestamp)}
	},
}

var runtimeClasses = table[*nodev1.RuntimeClass]{
	head: head(name(), text("Handler", nodev1.RuntimeClass{}.SwaggerDoc()["handler"]), age()),
	cells: func(c *nodev1.RuntimeClass, now at) []any {
		return []any{c.Name, c.Handler, now.age(c.CreationTimestamp)}
	},
}

var networkPolicies = table[*networkingv1.NetworkPolicy]{
	head: head(name(), text("Pod-Selector", networkingv1.NetworkPolicySpec{}.SwaggerDoc()["podSelector"]), age()),
	cells: func(p *networkingv1.NetworkPolicy, now at) []any {
		return []any{p.Name, metav1.FormatLabelSelector(&p.Spec.PodSelector), now.age(p.CreationTimestamp)}
	},
}

var ipAddresses = table[*networkingv1.IPAddress]{
	head: head(name(), text("ParentRef", networkingv1.IPAddressSpec{}.SwaggerDoc()["parentRef"]), age()),
	cells: func(a *networkingv1.IPAddress, now at) []any {
		parent := none
		if ref := a.Spec.ParentRef; ref != nil {
			parts := []string{ref.Resource, ref.Namespace, ref.Name}
			if ref.Namespace == "" {
				parts = []string{ref.Resource, ref.Name}
			}
			parent = strings.Join(parts, "/")
		}
		return []any{a.Name, parent, now.age(a.CreationTimestamp)}
	},
}

var bindingHead = head(name(),
	text("Role", rbacv1.RoleBinding{}.SwaggerDoc()["roleRef"]),
	age(),
	wide(text("Users", "Users in the roleBinding")),
	wide(text("Groups", "Groups in the roleBinding")),
	wide(text("ServiceAccounts", "ServiceAccounts in the roleBinding")))

var roleBindings = table[*rbacv1.RoleBinding]{
	head: bindingHead,
	cells: func(b *rbacv1.RoleBinding, now at) []any {
		return append([]any{b.Name, b.RoleRef.Kind + "/" + b.RoleRef.Name, now.age(b.CreationTimestamp)}, subjects(b.Subjects)...)
	},
}

var clusterRoleBindings = table[*rbacv1.ClusterRoleBinding]{
	head: bindingHead,
	cells: func(b *rbacv1.ClusterRoleBinding, now at) []any {
		return append([]any{b.Name, b.RoleRef.Kind + "/" + b.RoleRef.Name, now.age(b.CreationTimestamp)}, subjects(b.Subjects)...)
	},
}

// subjects lists users, groups and service accounts, a cell for each.
func subjects(all []rbacv1.Subject) []any {
	var users, groups, accounts []string
	for _, s := range all {
		switch s.Kind {
		case rbacv1.UserKind:
			users = append(users, s.Name)
		case rbacv1.GroupKind:
			groups = append(groups, s.Name)
		case rbacv1.ServiceAccountKind:
			accounts = append(accounts, s.Namespace+"/"+s.Name)
		}
	}
	return []any{strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", ")}
}
