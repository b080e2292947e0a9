package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Allows tells whether one of the rules allows a request.
func Allows(attributes authorizer.Attributes, rules []rbacv1.PolicyRule) bool {
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool { return allows(attributes, &rule) })
}

func allows(a authorizer.Attributes, rule *rbacv1.PolicyRule) bool {
	if !has(rule.Verbs, a.GetVerb()) {
		return false
	}
	if !a.IsResourceRequest() {
		return slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool { return matchesURL(url, a.GetPath()) })
	}
	return has(rule.APIGroups, a.GetAPIGroup()) &&
		slices.ContainsFunc(rule.Resources, func(r string) bool { return matchesResource(r, a) }) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.GetName()))
}

// has tells whether values holds one, or the star that stands for all. Star is
// spelt alike for verbs, groups, resources and URLs.
func has(values []string, one string) bool {
	return slices.Contains(values, one) || slices.Contains(values, rbacv1.VerbAll)
}

func matchesResource(rule string, a authorizer.Attributes) bool {
	resource, subresource := a.GetResource(), a.GetSubresource()
	if subresource == "" {
		return rule == rbacv1.ResourceAll || rule == resource
	}
	// "*" alone stands for subresources too.
	return rule == rbacv1.ResourceAll || rule == resource+"/"+subresource || rule == "*/"+subresource
}

func matchesURL(rule, path string) bool {
	if prefix, open := strings.CutSuffix(rule, "*"); open {
		return strings.HasPrefix(path, prefix)
	}
	return rule == path
}
