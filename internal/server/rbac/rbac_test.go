package rbac

import (
	"context"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// newAuthorizer knows the given roles and bindings.
func newAuthorizer(t *testing.T, known ...runtime.Object) *Authorizer {
	t.Helper()
	f := informers.NewSharedInformerFactory(fake.NewClientset(known...), 0)
	a := New(f.Rbac().V1())
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); f.Shutdown() })
	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())
	return a
}

func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	list := func(s string) []string { return strings.Split(s, ",") }
	return rbacv1.PolicyRule{Verbs: list(verbs), APIGroups: list(groups), Resources: list(resources), ResourceNames: names}
}

func urls(verbs string, paths ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), NonResourceURLs: paths}
}

// do parses "verb group/resource/subresource name", or "verb /path".
func do(u user.Info, namespace, what string) authorizer.AttributesRecord {
	words := strings.Fields(what)
	r := authorizer.AttributesRecord{User: u, Verb: words[0], Namespace: namespace}
	if strings.HasPrefix(words[1], "/") {
		r.Path = words[1]
		return r
	}
	r.ResourceRequest = true
	parts := strings.Split(words[1], ":")
	if len(parts) == 2 {
		r.APIGroup = parts[0]
	}
	r.Resource, r.Subresource, _ = strings.Cut(parts[len(parts)-1], "/")
	if len(words) > 2 {
		r.Name = words[2]
	}
	return r
}

func TestAllows(t *testing.T) {
	for _, c := range []struct {
		rule rbacv1.PolicyRule
		what string
		want bool
	}{
		{rule("get", "", "pods"), "get pods", true},
		{rule("get", "", "pods"), "list pods", false},
		{rule("*", "", "pods"), "list pods", true},
		{rule("get", "", "pods"), "get apps:pods", false},
		{rule("get", "*", "pods"), "get apps:pods", true},
		{rule("get", "", "pods"), "get pods/log", false},
		{rule("get", "", "pods/log"), "get pods/log", true},
		{rule("get", "", "pods/log"), "get pods", false},
		{rule("get", "", "*"), "get pods/log", true},
		{rule("get", "", "*/log"), "get pods/log", true},
		{rule("get", "", "*/log"), "get pods/exec", false},
		{rule("get", "", "*/log"), "get pods", false},
		{rule("get", "", "pods/*"), "get pods/log", false},
		{rule("get", "", "pods", "a", "b"), "get pods b", true},
		{rule("get", "", "pods", "a"), "get pods b", false},
		{rule("get", "", "pods", "a"), "get pods", false},
		{rule("get", "*", "*"), "get /metrics", false},
		{urls("get", "/metrics"), "get /metrics", true},
		{urls("get", "/metrics"), "get /metrics/x", false},
		{urls("get", "/apis/*"), "get /apis/x/y", true},
		{urls("get", "/apis/*"), "get /apis", false},
		{urls("*", "*"), "post /any", true},
		{urls("get", "*"), "get pods", false},
	} {
		if got := Allows(do(nil, "", c.what), []rbacv1.PolicyRule{c.rule}); got != c.want {
			t.Errorf("%v: %s: %t", c.rule, c.what, got)
		}
	}
}

func subject(kind, namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: kind, Namespace: namespace, Name: name}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func role(namespace, name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
	return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules}
}

func clusterBinding(name, role string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: subjects}
}

func binding(namespace, name, kind, role string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}, Subjects: subjects}
}

var (
	eve   = &user.DefaultInfo{Name: "eve", Groups: []string{"devs", "system:authenticated"}}
	robot = &user.DefaultInfo{Name: "system:serviceaccount:logs:agent", Groups: []string{"system:serviceaccounts"}}
)

func TestAuthorize(t *testing.T) {
	a := newAuthorizer(t,
		clusterRole("reader", rule("get,list", "", "pods"), urls("get", "/metrics")),
		clusterRole("nodes", rule("get", "", "nodes")),
		role("logs", "secrets", rule("get", "", "secrets", "own")),
		clusterBinding("b-devs", "nodes", subject("Group", "", "devs")),
		clusterBinding("a-devs", "nodes", subject("User", "", "other"), subject("Group", "", "devs")),
		clusterBinding("agents", "reader", subject("ServiceAccount", "logs", "agent")),
		clusterBinding("homeless", "nodes", subject("ServiceAccount", "", "agent")),
		clusterBinding("lost", "absent", subject("User", "", "lost")),
		binding("logs", "own", "Role", "secrets", subject("ServiceAccount", "", "agent")),
		binding("dev", "read", "ClusterRole", "reader", subject("User", "", "eve")),
		binding("dev", "odd", "Box", "reader", subject("User", "", "odd")),
	)
	for _, c := range []struct {
		user            user.Info
		namespace, what string
		allowed         bool
		reason          string
	}{
		{eve, "", "get nodes", true, `RBAC: allowed by ClusterRoleBinding "a-devs" of ClusterRole "nodes" to Group "devs"`},
		{eve, "dev", "list pods", true, `RBAC: allowed by RoleBinding "read/dev" of ClusterRole "reader" to User "eve"`},
		{eve, "logs", "list pods", false, ""},
		{eve, "", "list pods", false, ""},
		{eve, "", "get /metrics", false, ""},
		{robot, "any", "get pods", true, `RBAC: allowed by ClusterRoleBinding "agents" of ClusterRole "reader" to ServiceAccount "agent/logs"`},
		{robot, "", "get /metrics", true, `RBAC: allowed by ClusterRoleBinding "agents" of ClusterRole "reader" to ServiceAccount "agent/logs"`},
		{robot, "logs", "get secrets own", true, `RBAC: allowed by RoleBinding "own/logs" of Role "secrets" to ServiceAccount "agent/logs"`},
		{robot, "logs", "get secrets other", false, ""},
		{robot, "dev", "get secrets own", false, ""},
		{robot, "", "get nodes", false, ""},
		{&user.DefaultInfo{Name: "lost"}, "", "get nodes", false, `RBAC: clusterrole.rbac.authorization.k8s.io "absent" not found`},
		{&user.DefaultInfo{Name: "odd"}, "dev", "get nodes", false, `RBAC: unsupported role reference kind: "Box"`},
	} {
		decision, reason, err := a.Authorize(t.Context(), do(c.user, c.namespace, c.what))
		if err != nil || (decision == authorizer.DecisionAllow) != c.allowed || decision == authorizer.DecisionDeny || reason != c.reason {
			t.Errorf("%s: %s in %q: %v, %q, %v", c.user.GetName(), c.what, c.namespace, decision, reason, err)
		}
	}
}

func TestRulesFor(t *testing.T) {
	a := newAuthorizer(t,
		clusterRole("reader", rule("get", "", "pods"), urls("get", "/metrics")),
		binding("dev", "read", "ClusterRole", "reader", subject("User", "", "eve")),
		binding("dev", "lost", "ClusterRole", "absent", subject("User", "", "eve")),
	)
	resources, paths, incomplete, err := a.RulesFor(t.Context(), eve, "dev")
	if incomplete || err == nil || !strings.Contains(err.Error(), `"absent" not found`) {
		t.Errorf("incomplete %t, error %v", incomplete, err)
	}
	if len(resources) != 1 || resources[0].GetResources()[0] != "pods" || len(paths) != 1 || paths[0].GetNonResourceURLs()[0] != "/metrics" {
		t.Errorf("resources %v, URLs %v", resources, paths)
	}
}

// Roles that select others by label have their rules, through any number of
// roles in between and in circles too.
func TestAggregation(t *testing.T) {
	selects := func(name, label string, labels ...string) *rbacv1.ClusterRole {
		r := clusterRole(name, rule("get", "", "ignored"))
		r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{label: "true"}}}}
		r.Labels = map[string]string{}
		for _, l := range labels {
			r.Labels[l] = "true"
		}
		return r
	}
	labelled := func(r *rbacv1.ClusterRole, label string) *rbacv1.ClusterRole {
		r.Labels = map[string]string{label: "true"}
		return r
	}
	a := newAuthorizer(t,
		selects("admin", "to-admin", "to-view"),
		selects("view", "to-view", "to-admin"),
		labelled(clusterRole("pods", rule("get", "", "pods")), "to-view"),
		labelled(clusterRole("roles", rule("get", "", "roles")), "to-admin"),
		clusterRole("plain", rule("get", "", "nodes")),
		clusterBinding("b", "admin", subject("User", "", "eve")),
	)
	for what, want := range map[string]bool{"get pods": true, "get roles": true, "get ignored": false, "get nodes": false} {
		if decision, _, _ := a.Authorize(t.Context(), do(eve, "", what)); (decision == authorizer.DecisionAllow) != want {
			t.Errorf("%s: %v", what, decision)
		}
	}
}
