// Package rbac decides who may do what by the roles and bindings that are
// stored: the RBAC of Kubernetes. It also keeps the roles that every cluster
// has, and keeps users from granting more than they may do themselves.
//
// A role with an aggregation rule has the rules of the roles that it selects;
// these are looked up whenever it is asked for, not written into it.
//
// What nodes may do is left to package node; who is asking, to package server.
package rbac

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
)

// Authorizer answers from roles and bindings.
type Authorizer struct {
	roles               rbaclisters.RoleLister
	bindings            rbaclisters.RoleBindingLister
	clusterRoles        rbaclisters.ClusterRoleLister
	clusterRoleBindings rbaclisters.ClusterRoleBindingLister
}

var (
	_ authorizer.UnconditionalAuthorizer = &Authorizer{}
	_ authorizer.RuleResolver            = &Authorizer{}
)

// New returns an authorizer that reads from the informers of f.
func New(f rbacinformers.Interface) *Authorizer {
	return &Authorizer{
		roles:               f.Roles().Lister(),
		bindings:            f.RoleBindings().Lister(),
		clusterRoles:        f.ClusterRoles().Lister(),
		clusterRoleBindings: f.ClusterRoleBindings().Lister(),
	}
}

// Authorize allows what a rule allows, and has no opinion on anything else.
func (a *Authorizer) Authorize(_ context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	var unread []error
	for g, err := range a.grants(attributes.GetUser(), attributes.GetNamespace()) {
		if err != nil {
			unread = append(unread, err)
		} else if Allows(attributes, g.rules) {
			return authorizer.DecisionAllow, "RBAC: allowed by " + g.String(), nil
		}
	}
	if len(unread) > 0 {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(unread)), nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// RulesFor lists what a user may do in a namespace.
func (a *Authorizer) RulesFor(_ context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	rules, err := a.rules(u, namespace)
	var resources []authorizer.ResourceRuleInfo
	var urls []authorizer.NonResourceRuleInfo
	for _, r := range rules {
		if len(r.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames})
		}
		if len(r.NonResourceURLs) > 0 {
			urls = append(urls, &authorizer.DefaultNonResourceRuleInfo{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
		}
	}
	return resources, urls, false, err
}

// rules lists what a user may do in a namespace. With an error, the list is
// that of the roles which could be read.
func (a *Authorizer) rules(u user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	var unread []error
	for g, err := range a.grants(u, namespace) {
		if err != nil {
			unread = append(unread, err)
		}
		rules = append(rules, g.rules...)
	}
	return rules, utilerrors.NewAggregate(unread)
}

// grant is what one binding gives a user.
type grant struct {
	kind      string // of the binding
	name      string
	namespace string // of the binding, if it has one
	role      rbacv1.RoleRef
	subject   rbacv1.Subject // the first by which the user has it
	rules     []rbacv1.PolicyRule
}

// String names a grant as Kubernetes does in the reason of an answer: what is
// in a namespace is named before it.
func (g grant) String() string {
	binding, subject := g.name, g.subject.Name
	if g.namespace != "" {
		binding += "/" + g.namespace
	}
	if g.subject.Kind == rbacv1.ServiceAccountKind {
		subject += "/" + cmp.Or(g.subject.Namespace, g.namespace)
	}
	return fmt.Sprintf("%s %q of %s %q to %s %q", g.kind, binding, g.role.Kind, g.role.Name, g.subject.Kind, subject)
}

// grants goes through what a user has cluster-wide, then in the namespace, if
// there is one, each sorted by the names of the bindings. A role that cannot be
// read yields an error in its place.
func (a *Authorizer) grants(u user.Info, namespace string) iter.Seq2[grant, error] {
	return func(yield func(grant, error) bool) {
		everywhere, err := a.clusterRoleBindings.List(labels.Everything())
		if err != nil && !yield(grant{}, err) {
			return
		}
		sortByName(everywhere)
		for _, b := range everywhere {
			g := grant{kind: "ClusterRoleBinding", name: b.Name, role: b.RoleRef}
			if a.reaches(&g, u, b.Subjects) && !a.yield(g, yield) {
				return
			}
		}
		if namespace == "" {
			return
		}
		here, err := a.bindings.RoleBindings(namespace).List(labels.Everything())
		if err != nil && !yield(grant{}, err) {
			return
		}
		sortByName(here)
		for _, b := range here {
			g := grant{kind: "RoleBinding", name: b.Name, namespace: namespace, role: b.RoleRef}
			if a.reaches(&g, u, b.Subjects) && !a.yield(g, yield) {
				return
			}
		}
	}
}

func sortByName[T metav1.Object](objects []T) {
	slices.SortFunc(objects, func(a, b T) int { return strings.Compare(a.GetName(), b.GetName()) })
}

// reaches notes the first of the subjects that u is.
func (a *Authorizer) reaches(g *grant, u user.Info, subjects []rbacv1.Subject) bool {
	i := slices.IndexFunc(subjects, func(s rbacv1.Subject) bool { return is(u, s, g.namespace) })
	if i >= 0 {
		g.subject = subjects[i]
	}
	return i >= 0
}

func (a *Authorizer) yield(g grant, yield func(grant, error) bool) bool {
	rules, err := a.roleRules(g.role, g.namespace)
	if err != nil {
		return yield(grant{}, err)
	}
	g.rules = rules
	return yield(g, nil)
}

// is tells whether u is the subject of a binding in a namespace, or in none.
func is(u user.Info, s rbacv1.Subject, namespace string) bool {
	switch s.Kind {
	case rbacv1.UserKind:
		return u.GetName() == s.Name
	case rbacv1.GroupKind:
		return slices.Contains(u.GetGroups(), s.Name)
	case rbacv1.ServiceAccountKind:
		home := cmp.Or(s.Namespace, namespace)
		return home != "" && serviceaccount.MatchesUsername(home, s.Name, u.GetName())
	}
	return false
}

// roleRules are the rules of the role that a binding in a namespace, or in
// none, refers to.
func (a *Authorizer) roleRules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	switch ref.Kind {
	case "Role":
		role, err := a.roles.Roles(namespace).Get(ref.Name)
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	case "ClusterRole":
		role, err := a.clusterRoles.Get(ref.Name)
		if err != nil {
			return nil, err
		}
		return a.clusterRoleRules(role)
	}
	return nil, fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
}
