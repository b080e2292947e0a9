package rbac

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// clusterRoleRules are the rules of a role: its own or, if it has an
// aggregation rule, those of the roles it selects, which may select others.
func (a *Authorizer) clusterRoleRules(role *rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	if role.AggregationRule == nil {
		return role.Rules, nil
	}
	all, err := a.clusterRoles.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	sortByName(all)
	return aggregate(role, all, map[string]bool{})
}

// aggregate collects the rules of role, and of those in all that it selects.
// Roles in seen have been collected already.
func aggregate(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole, seen map[string]bool) ([]rbacv1.PolicyRule, error) {
	if seen[role.Name] {
		return nil, nil
	}
	seen[role.Name] = true
	if role.AggregationRule == nil {
		return role.Rules, nil
	}
	var rules []rbacv1.PolicyRule
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, fmt.Errorf("aggregation rule of cluster role %s: %w", role.Name, err)
		}
		for _, other := range all {
			if !selector.Matches(labels.Set(other.Labels)) {
				continue
			}
			more, err := aggregate(other, all, seen)
			if err != nil {
				return nil, err
			}
			rules = slices.Concat(rules, more)
		}
	}
	return rules, nil
}
