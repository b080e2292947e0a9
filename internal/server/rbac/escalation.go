package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// Guard keeps users from granting what they do not have themselves: by a role
// unless they may escalate it, by a binding unless they may bind its role.
type Guard struct {
	*admission.Handler
	rbac       *Authorizer
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.ValidationInterface = &Guard{}

// NewGuard returns a guard that knows what users have by a, and asks all who
// may escalate and bind.
func NewGuard(a *Authorizer, all authorizer.UnconditionalAuthorizer) *Guard {
	return &Guard{Handler: admission.NewHandler(admission.Create, admission.Update), rbac: a, authorizer: all}
}

// everything is what an aggregation rule may come to grant.
var everything = []rbacv1.PolicyRule{
	{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}},
	{NonResourceURLs: []string{"*"}, Verbs: []string{"*"}},
}

// Validate refuses roles and bindings that grant too much.
func (g *Guard) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().Group != rbacv1.GroupName || slices.Contains(a.GetUserInfo().GetGroups(), user.SystemPrivilegedGroup) {
		return nil
	}
	if a.GetOperation() == admission.Update && onlyOwned(a.GetObject(), a.GetOldObject()) {
		return nil
	}
	var err error
	switch obj := a.GetObject().(type) {
	case *rbacv1.Role:
		err = g.checkRole(ctx, a, obj.Rules)
	case *rbacv1.ClusterRole:
		err = g.checkClusterRole(ctx, a, obj)
	case *rbacv1.RoleBinding:
		err = g.checkBinding(ctx, a, obj.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		err = g.checkBinding(ctx, a, obj.RoleRef)
	}
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}

// onlyOwned tells whether an update changes no more than what the garbage
// collector must be able to change.
func onlyOwned(updated, old runtime.Object) bool {
	bare := func(obj runtime.Object) runtime.Object {
		obj = obj.DeepCopyObject()
		m, err := meta.Accessor(obj)
		if err != nil {
			return obj
		}
		m.SetOwnerReferences(nil)
		m.SetFinalizers(nil)
		m.SetManagedFields(nil)
		m.SetResourceVersion("")
		return obj
	}
	return apiequality.Semantic.DeepEqual(bare(updated), bare(old))
}

func (g *Guard) checkClusterRole(ctx context.Context, a admission.Attributes, role *rbacv1.ClusterRole) error {
	if err := g.checkRole(ctx, a, role.Rules); err != nil {
		return err
	}
	old, _ := a.GetOldObject().(*rbacv1.ClusterRole)
	if !aggregates(role) && !aggregates(old) || g.may(ctx, a, verb{"escalate", a.GetResource().Resource, a.GetName()}) {
		return nil
	}
	if g.holds(a, everything) != nil {
		return errors.New("must have cluster-admin privileges to use the aggregationRule")
	}
	return nil
}

func aggregates(role *rbacv1.ClusterRole) bool {
	return role != nil && role.AggregationRule != nil && len(role.AggregationRule.ClusterRoleSelectors) > 0
}

func (g *Guard) checkRole(ctx context.Context, a admission.Attributes, rules []rbacv1.PolicyRule) error {
	if g.may(ctx, a, verb{"escalate", a.GetResource().Resource, a.GetName()}) {
		return nil
	}
	return g.holds(a, rules)
}

func (g *Guard) checkBinding(ctx context.Context, a admission.Attributes, ref rbacv1.RoleRef) error {
	resource := map[string]string{"Role": "roles", "ClusterRole": "clusterroles"}[ref.Kind]
	if g.may(ctx, a, verb{"bind", resource, ref.Name}) {
		return nil
	}
	rules, err := g.rbac.roleRules(ref, a.GetNamespace())
	if err != nil {
		return err
	}
	return g.holds(a, rules)
}

// verb is something that can be done to a role.
type verb struct{ name, resource, role string }

func (g *Guard) may(ctx context.Context, a admission.Attributes, v verb) bool {
	decision, _, _ := g.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User:            a.GetUserInfo(),
		Verb:            v.name,
		APIGroup:        rbacv1.GroupName,
		APIVersion:      "*",
		Resource:        v.resource,
		Name:            v.role,
		Namespace:       a.GetNamespace(),
		ResourceRequest: true,
	})
	return decision == authorizer.DecisionAllow
}

// holds returns an error that lists which of the rules the user does not have.
func (g *Guard) holds(a admission.Attributes, rules []rbacv1.PolicyRule) error {
	u := a.GetUserInfo()
	own, unread := g.rbac.rules(u, a.GetNamespace())
	covered, missing := validation.Covers(own, rules)
	if covered {
		return nil
	}
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		u.GetName(), u.GetGroups(), strings.Join(describe(missing), "\n"))
	if unread != nil {
		text += fmt.Sprintf("; resolution errors: %v", unread)
	}
	return errors.New(text)
}

// describe gives one sorted line for each resource or URL in rules of one verb
// each.
func describe(rules []rbacv1.PolicyRule) []string {
	verbs := map[string][]string{}
	for _, r := range rules {
		what := ""
		for _, part := range []struct {
			name   string
			values []string
		}{{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"NonResourceURLs", r.NonResourceURLs}, {"ResourceNames", r.ResourceNames}} {
			if len(part.values) > 0 {
				what += fmt.Sprintf("%s:%q, ", part.name, part.values)
			}
		}
		verbs[what] = append(verbs[what], r.Verbs...)
	}
	var lines []string
	for what, of := range verbs {
		lines = append(lines, fmt.Sprintf("{%sVerbs:%q}", what, of))
	}
	slices.Sort(lines)
	return lines
}
