package rbac

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes/fake"
)

// What the standing roles let whom do, a few for each role.
func TestStandingRoles(t *testing.T) {
	all, err := policy()
	if err != nil {
		t.Fatal(err)
	}
	var objects []runtime.Object
	for _, s := range all {
		objects = append(objects, s.role(), s.binding())
	}
	for _, name := range []string{"admin", "edit", "view", "system:auth-delegator"} {
		objects = append(objects, binding("dev", name, "ClusterRole", name, subject("User", "", name)))
	}
	a := newAuthorizer(t, objects...)
	anyone := func(name string) user.Info {
		return &user.DefaultInfo{Name: name, Groups: []string{"system:authenticated"}}
	}
	nobody := &user.DefaultInfo{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}
	for _, c := range []struct {
		user user.Info
		what string
		want bool
	}{
		{&user.DefaultInfo{Name: "root", Groups: []string{"system:masters"}}, "delete secrets x", true},
		{&user.DefaultInfo{Name: "root", Groups: []string{"system:masters"}}, "post /any", true},
		{nobody, "get /version", true},
		{nobody, "get /apis", false},
		{anyone("eve"), "get /apis/apps/v1", true},
		{anyone("eve"), "create authorization.k8s.io:selfsubjectaccessreviews", true},
		{anyone("eve"), "create authentication.k8s.io:tokenreviews", false},
		{anyone("eve"), "get pods", false},
		{anyone("view"), "list pods", true},
		{anyone("view"), "get pods/log", true},
		{anyone("view"), "get secrets", false},
		{anyone("view"), "create pods", false},
		{anyone("edit"), "get secrets", true},
		{anyone("edit"), "list pods", true},
		{anyone("edit"), "create apps:daemonsets", true},
		{anyone("edit"), "create rbac.authorization.k8s.io:roles", false},
		{anyone("admin"), "create rbac.authorization.k8s.io:roles", true},
		{anyone("admin"), "create pods/exec", true},
		{anyone("admin"), "update resourcequotas", false},
		{anyone("system:auth-delegator"), "create authentication.k8s.io:tokenreviews", true},
		{robot, "get /openid/v1/jwks", true},
		{robot, "get /metrics", false},
		{&user.DefaultInfo{Name: "m", Groups: []string{"system:monitoring"}}, "get /metrics", true},
	} {
		decision, _, err := a.Authorize(t.Context(), do(c.user, "dev", c.what))
		if err != nil || (decision == authorizer.DecisionAllow) != c.want {
			t.Errorf("%s: %s: %v, %v", c.user.GetName(), c.what, decision, err)
		}
	}
}

// Ensure puts back what was taken away, keeps what was added, and leaves alone
// what opted out.
func TestEnsure(t *testing.T) {
	ctx := t.Context()
	client := fake.NewClientset()
	if err := Ensure(ctx, client); err != nil {
		t.Fatal(err)
	}
	roles, bindings := client.RbacV1().ClusterRoles(), client.RbacV1().ClusterRoleBindings()
	change := func(name string, change func(*rbacv1.ClusterRole)) {
		t.Helper()
		r, err := roles.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		if _, err := roles.Update(ctx, r, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	change("system:basic-user", func(r *rbacv1.ClusterRole) { r.Rules = r.Rules[:1] })
	change("system:monitoring", func(r *rbacv1.ClusterRole) { r.Rules = append(r.Rules, rule("get", "", "pods")) })
	change("system:discovery", func(r *rbacv1.ClusterRole) {
		r.Rules, r.Annotations[rbacv1.AutoUpdateAnnotationKey] = nil, "false"
	})
	if err := bindings.Delete(ctx, "system:discovery", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(ctx, client); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"system:basic-user": 2, "system:monitoring": 3, "system:discovery": 0} {
		if r, err := roles.Get(ctx, name, metav1.GetOptions{}); err != nil || len(r.Rules) != want {
			t.Errorf("%s: %v, %v", name, r.Rules, err)
		}
	}
	if _, err := bindings.Get(ctx, "system:discovery", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := bindings.Get(ctx, "view", metav1.GetOptions{}); err == nil {
		t.Error("view is bound to nobody, and yet has a binding")
	}
}
