package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/garrison-project/garrison/internal/server/rbac"
)

// Authorizer answers for nodes, and has no opinion on anyone else.
type Authorizer struct {
	graph *Graph
}

var (
	_ authorizer.UnconditionalAuthorizer = &Authorizer{}
	_ authorizer.RuleResolver            = &Authorizer{}
)

// NewAuthorizer returns an authorizer that knows by g what pods need.
func NewAuthorizer(g *Graph) *Authorizer { return &Authorizer{graph: g} }

// Authorize allows a node what it needs. What it does not allow, others may.
func (a *Authorizer) Authorize(_ context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	name, isNode := Name(attributes.GetUser())
	if !isNode {
		return authorizer.DecisionNoOpinion, "", nil
	}
	if name == "" {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("unknown node for user %q", attributes.GetUser().GetName()), nil
	}
	if err := a.check(request{attributes, name}); err != nil {
		return authorizer.DecisionNoOpinion, err.Error(), nil
	}
	return authorizer.DecisionAllow, "", nil
}

// RulesFor says that what a node may do cannot be listed.
func (a *Authorizer) RulesFor(_ context.Context, u user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if _, isNode := Name(u); isNode {
		return nil, nil, true, errors.New("node authorizer does not support user rule resolution")
	}
	return nil, nil, false, nil
}

// request is what a node asks for.
type request struct {
	authorizer.Attributes
	node string
}

func (r request) is(verbs ...string) bool { return slices.Contains(verbs, r.GetVerb()) }

// errNoReason denies what needs no explanation.
var errNoReason = errors.New("")

// check returns why a node may not do something, nil if it may.
func (a *Authorizer) check(r request) error {
	if r.IsResourceRequest() {
		switch (schema.GroupResource{Group: r.GetAPIGroup(), Resource: r.GetResource()}) {
		case corev1.Resource("secrets"):
			return a.checkRead(r, secret)
		case corev1.Resource("configmaps"):
			return a.checkRead(r, configMap)
		case corev1.Resource("persistentvolumeclaims"):
			return a.checkClaim(r)
		case corev1.Resource("serviceaccounts"):
			return a.checkAccount(r)
		case corev1.Resource("nodes"):
			return checkNode(r)
		case corev1.Resource("pods"):
			return a.checkPod(r)
		case schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}:
			return checkLease(r)
		case schema.GroupResource{Group: "storage.k8s.io", Resource: "csinodes"}:
			return checkCSINode(r)
		}
	}
	if rbac.Allows(r.Attributes, rules) {
		return nil
	}
	return errNoReason
}

// checkNeeded lets a node at an object that its pods name.
func (a *Authorizer) checkNeeded(r request, k kind) error {
	if r.GetName() == "" {
		//lint:ignore ST1005 clients may know the words of Kubernetes
		return errors.New("No Object name found")
	}
	if !a.graph.needed(r.node, object{k, types.NamespacedName{Namespace: r.GetNamespace(), Name: r.GetName()}}) {
		return unrelated(r)
	}
	return nil
}

func unrelated(r request) error {
	return fmt.Errorf("no relationship found between node '%s' and this object", r.node)
}

func (a *Authorizer) checkRead(r request, k kind) error {
	switch {
	case !r.is("get", "list", "watch"):
		return errors.New("can only read resources of this type")
	case r.GetSubresource() != "":
		return errors.New("cannot read subresource")
	case r.GetNamespace() == "":
		return errors.New("can only read namespaced object of this type")
	}
	return a.checkNeeded(r, k)
}

func (a *Authorizer) checkClaim(r request) error {
	if r.GetSubresource() == "status" {
		if !r.is("update", "patch") {
			return errors.New("can only get/update/patch this type")
		}
		return a.checkNeeded(r, claim)
	}
	if err := checkGet(r); err != nil {
		return err
	}
	return a.checkNeeded(r, claim)
}

// checkGet refuses all but a look at one object.
func checkGet(r request) error {
	switch {
	case !r.is("get"):
		return errors.New("can only get individual resources of this type")
	case r.GetSubresource() != "":
		return errors.New("cannot get subresource")
	}
	return nil
}

// checkAccount lets a node look at the accounts of its pods and ask for tokens
// of theirs. NodeRestriction sees that each token is bound to such a pod.
func (a *Authorizer) checkAccount(r request) error {
	switch {
	case r.is("get") && r.GetSubresource() == "":
		return a.checkRead(r, serviceAccount)
	case !r.is("create") || r.GetName() == "":
		return errors.New("can only create tokens for individual service accounts")
	case r.GetSubresource() != "token":
		return errors.New("can only create token subresource of serviceaccount")
	}
	return a.checkNeeded(r, serviceAccount)
}

// checkNode lets a node read itself. Which node it writes is for NodeRestriction
// to see: a request to create does not carry the name.
func checkNode(r request) error {
	switch r.GetSubresource() {
	case "":
		switch {
		case r.is("create", "update", "patch"):
			return nil
		case !r.is("get", "list", "watch"):
			return errNoReason
		case r.GetName() == r.node:
			return nil
		case r.GetName() == "":
			return fmt.Errorf("node '%s' cannot read all nodes, only its own Node object", r.node)
		}
		return fmt.Errorf("node '%s' cannot read '%s', only its own Node object", r.node, r.GetName())
	case "status":
		if r.is("update", "patch") {
			return nil
		}
	}
	return errNoReason
}

// checkPod lets a node read its pods. Which pods it writes is for
// NodeRestriction to see.
func (a *Authorizer) checkPod(r request) error {
	pod := types.NamespacedName{Namespace: r.GetNamespace(), Name: r.GetName()}
	switch r.GetSubresource() {
	case "":
		switch {
		case r.is("create", "delete"):
			return nil
		case !r.is("get", "list", "watch"):
			return errNoReason
		case !r.is("get") && selectsNode(r):
			return nil
		case !r.is("get") && r.GetName() == "":
			return errors.New("can only list/watch pods with spec.nodeName field selector")
		case !a.graph.runs(r.node, pod):
			return unrelated(r)
		}
		return nil
	case "status":
		if r.is("update", "patch") {
			return nil
		}
	case "eviction":
		if r.is("create") {
			return nil
		}
	}
	return errNoReason
}

// selectsNode tells whether a request is for the pods of its node alone. A
// selector that cannot be read selects nothing.
func selectsNode(r request) bool {
	requirements, err := r.GetFieldSelector()
	return err == nil && slices.ContainsFunc(requirements, func(f fields.Requirement) bool {
		return f.Field == "spec.nodeName" && f.Operator == selection.Equals && f.Value == r.node
	})
}

func checkLease(r request) error {
	switch {
	case !r.is("get", "create", "update", "patch", "delete"):
		return errors.New("can only get, create, update, patch, or delete a node lease")
	case r.GetNamespace() != corev1.NamespaceNodeLease:
		return fmt.Errorf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	case !r.is("create") && r.GetName() != r.node:
		return errors.New("can only access node lease with the same name as the requesting node")
	}
	return nil
}

func checkCSINode(r request) error {
	switch {
	case !r.is("get", "create", "update", "patch", "delete"):
		return errors.New("can only get, create, update, patch, or delete a CSINode")
	case r.GetSubresource() != "":
		return errors.New("cannot authorize CSINode subresources")
	case !r.is("create") && r.GetName() != r.node:
		return errors.New("can only access CSINode with the same name as the requesting node")
	}
	return nil
}
