package server

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Who rules a namespace may hand out what they have there, and no more.
func TestNobodyGrantsMoreThanTheyHave(t *testing.T) {
	ctx, ns := t.Context(), namespace(t)
	binding := func(name, role, user string) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}
	}
	if _, err := shared.Client().RbacV1().RoleBindings(ns).Create(ctx, binding("ada", "admin", "ada"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config := adminConfig(t, shared)
	config.Impersonate = rest.ImpersonationConfig{UserName: "ada"}
	ada := kubernetes.NewForConfigOrDie(config).RbacV1()
	role := func(resource string) error {
		_, err := ada.Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: resource},
			Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{resource}}}}, metav1.CreateOptions{})
		return err
	}
	eventually(t, "the rights of an admin", func() bool { return role("pods") == nil })
	const missing = `user "ada" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:` + "\n"
	wantForbidden(t, role("nodes"), `roles.rbac.authorization.k8s.io "nodes" is forbidden: `+missing+`{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}`)

	if _, err := ada.RoleBindings(ns).Create(ctx, binding("bob", "view", "bob"), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	_, err := ada.RoleBindings(ns).Create(ctx, binding("lord", "cluster-admin", "ada"), metav1.CreateOptions{})
	wantForbidden(t, err, `rolebindings.rbac.authorization.k8s.io "lord" is forbidden: `+missing)
	_, err = ada.ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	wantForbidden(t, err, `User "ada" cannot list resource "clusterrolebindings" in API group "rbac.authorization.k8s.io" at the cluster scope`)
}
