package rbac

import (
	"context"
	_ "embed"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	"sigs.k8s.io/yaml"
)

//go:embed policy.yaml
var policyFile []byte

// standing is a role that every cluster has, as policy.yaml puts it.
type standing struct {
	Name        string              `json:"name"`
	Aggregate   string              `json:"aggregate,omitempty"`
	AggregateTo string              `json:"aggregateTo,omitempty"`
	Groups      []string            `json:"groups,omitempty"`
	Rules       []rbacv1.PolicyRule `json:"rules,omitempty"`
}

func policy() ([]standing, error) {
	var all []standing
	if err := yaml.UnmarshalStrict(policyFile, &all); err != nil {
		return nil, fmt.Errorf("read the roles that every cluster has: %w", err)
	}
	return all, nil
}

// aggregationLabel marks the roles whose rules are also those of another.
func aggregationLabel(role string) string {
	return "rbac.authorization.k8s.io/aggregate-to-" + role
}

// meta is the metadata of all that is bound to exist. The annotation lets an
// administrator opt out: set to false, nothing is put back.
func (s standing) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        s.Name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

func (s standing) role() *rbacv1.ClusterRole {
	role := &rbacv1.ClusterRole{ObjectMeta: s.meta(), Rules: s.Rules}
	if s.AggregateTo != "" {
		role.Labels[aggregationLabel(s.AggregateTo)] = "true"
	}
	if s.Aggregate != "" {
		role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
			{MatchLabels: map[string]string{aggregationLabel(s.Aggregate): "true"}},
		}}
	}
	return role
}

func (s standing) binding() *rbacv1.ClusterRoleBinding {
	b := &rbacv1.ClusterRoleBinding{
		ObjectMeta: s.meta(),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: s.Name},
	}
	for _, group := range s.Groups {
		b.Subjects = append(b.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group})
	}
	return b
}

// Ensure creates the roles and bindings that every cluster has, and adds to
// those that are there what they lack. What they have beyond that is kept.
func Ensure(ctx context.Context, client kubernetes.Interface) error {
	all, err := policy()
	if err != nil {
		return err
	}
	for _, s := range all {
		roles := reconciliation.ReconcileRoleOptions{
			Role:    reconciliation.ClusterRoleRuleOwner{ClusterRole: s.role()},
			Client:  reconciliation.ClusterRoleModifier{Client: client.RbacV1().ClusterRoles()},
			Confirm: true,
		}
		if _, err := roles.Run(); err != nil {
			return fmt.Errorf("create cluster role %s: %w", s.Name, err)
		}
		if len(s.Groups) == 0 {
			continue
		}
		bindings := reconciliation.ReconcileRoleBindingOptions{
			RoleBinding: reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: s.binding()},
			Client:      reconciliation.ClusterRoleBindingClientAdapter{Client: client.RbacV1().ClusterRoleBindings()},
			Confirm:     true,
		}
		if _, err := bindings.Run(); err != nil {
			return fmt.Errorf("create cluster role binding %s: %w", s.Name, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
