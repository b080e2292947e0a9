package kinds

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/garrison-project/garrison/internal/api/validation"
)

func roles() entry {
	return kind[*rbacv1.Role]{gv: rbacV1, name: "roles", obj: &rbacv1.Role{}, list: &rbacv1.RoleList{},
		createOnUpdate: true,
		rules: rules[*rbacv1.Role]{
			validate:       validation.Role,
			validateUpdate: validation.RoleUpdate,
		},
	}
}

func roleBindings() entry {
	return kind[*rbacv1.RoleBinding]{gv: rbacV1, name: "rolebindings", obj: &rbacv1.RoleBinding{}, list: &rbacv1.RoleBindingList{},
		createOnUpdate: true,
		rules: rules[*rbacv1.RoleBinding]{
			validate:       validation.RoleBinding,
			validateUpdate: validation.RoleBindingUpdate,
		},
	}
}

func clusterRoles() entry {
	return kind[*rbacv1.ClusterRole]{gv: rbacV1, name: "clusterroles", obj: &rbacv1.ClusterRole{}, list: &rbacv1.ClusterRoleList{},
		cluster: true, createOnUpdate: true,
		rules: rules[*rbacv1.ClusterRole]{
			validate:       validation.ClusterRole,
			validateUpdate: validation.ClusterRoleUpdate,
		},
	}
}

func clusterRoleBindings() entry {
	return kind[*rbacv1.ClusterRoleBinding]{gv: rbacV1, name: "clusterrolebindings", obj: &rbacv1.ClusterRoleBinding{}, list: &rbacv1.ClusterRoleBindingList{},
		cluster: true, createOnUpdate: true,
		rules: rules[*rbacv1.ClusterRoleBinding]{
			validate:       validation.ClusterRoleBinding,
			validateUpdate: validation.ClusterRoleBindingUpdate,
		},
	}
}
