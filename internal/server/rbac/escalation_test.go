package rbac

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

func TestGuard(t *testing.T) {
	a := newAuthorizer(t,
		clusterRole("pods", rule("get,list", "", "pods")),
		clusterRole("secrets", rule("get", "", "secrets")),
		clusterRole("everything", everything...),
		clusterRole("makes", rule("escalate", "rbac.authorization.k8s.io", "roles"), rule("bind", "rbac.authorization.k8s.io", "clusterroles", "secrets")),
		clusterBinding("pods", "pods", subject("User", "", "eve"), subject("User", "", "maker")),
		clusterBinding("makes", "makes", subject("User", "", "maker")),
		clusterBinding("all", "everything", subject("User", "", "lord")),
	)
	g := NewGuard(a, a)
	maker, lord := &user.DefaultInfo{Name: "maker"}, &user.DefaultInfo{Name: "lord"}
	root := &user.DefaultInfo{Name: "root", Groups: []string{"system:masters"}}
	aggregating := clusterRole("x")
	aggregating.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{}}}
	owned := clusterRole("x", rule("get", "", "secrets"))
	owned.Finalizers = []string{"a/b"}
	labelled := clusterRole("x", rule("get", "", "secrets"))
	labelled.Labels = map[string]string{"a": "b"}
	const missing = " is attempting to grant RBAC permissions not currently held:\n"
	for name, c := range map[string]struct {
		user     user.Info
		obj, old runtime.Object
		want     string // in the error, "" for none
	}{
		"what one has":             {eve, role("n", "x", rule("get", "", "pods")), nil, ""},
		"a part by name":           {eve, role("n", "x", rule("get", "", "pods", "a")), nil, ""},
		"what one has not":         {eve, role("n", "x", rule("get,list,watch", "", "pods,secrets")), nil, `roles.rbac.authorization.k8s.io "x" is forbidden: user "eve" (groups=["devs" "system:authenticated"])` + missing + `{APIGroups:[""], Resources:["pods"], Verbs:["watch"]}` + "\n" + `{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list" "watch"]}`},
		"what one may escalate":    {maker, role("n", "x", rule("*", "*", "*")), nil, ""},
		"of another kind":          {maker, clusterRole("x", rule("*", "*", "*")), nil, missing},
		"as administrator":         {root, clusterRole("x", rule("*", "*", "*")), nil, ""},
		"a URL":                    {eve, clusterRole("x", urls("get", "/x")), nil, missing + `{NonResourceURLs:["/x"], Verbs:["get"]}`},
		"an aggregation":           {eve, aggregating, nil, "must have cluster-admin privileges to use the aggregationRule"},
		"an aggregation by a lord": {lord, aggregating, nil, ""},
		"the end of one":           {eve, clusterRole("x"), aggregating, "must have cluster-admin privileges"},
		"for the collector":        {eve, owned, clusterRole("x", rule("get", "", "secrets")), ""},
		"a label":                  {eve, labelled, clusterRole("x", rule("get", "", "secrets")), missing},
		"a binding":                {eve, clusterBinding("x", "pods"), nil, ""},
		"a binding of too much":    {eve, binding("n", "x", "ClusterRole", "secrets"), nil, `rolebindings.rbac.authorization.k8s.io "x" is forbidden: user "eve"`},
		"what one may bind":        {maker, binding("n", "x", "ClusterRole", "secrets"), nil, ""},
		"a binding of nothing":     {eve, clusterBinding("x", "none"), nil, `"none" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			err := g.Validate(t.Context(), attributes(t, c.user, c.obj, c.old), nil)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func attributes(t *testing.T, u user.Info, obj, old runtime.Object) admission.Attributes {
	t.Helper()
	m := obj.(metav1.Object)
	var resource string
	switch obj.(type) {
	case *rbacv1.Role:
		resource = "roles"
	case *rbacv1.ClusterRole:
		resource = "clusterroles"
	case *rbacv1.RoleBinding:
		resource = "rolebindings"
	case *rbacv1.ClusterRoleBinding:
		resource = "clusterrolebindings"
	default:
		t.Fatalf("no resource for %T", obj)
	}
	op := admission.Create
	if old != nil {
		op = admission.Update
	}
	return admission.NewAttributesRecord(obj, old, schema.GroupVersionKind{}, m.GetNamespace(), m.GetName(),
		rbacv1.SchemeGroupVersion.WithResource(resource), "", op, nil, false, u)
}
