// Package node decides what the agent of a node may do: read and write what is
// its own, and read what the pods bound to it name. It is the Node authorizer
// of Kubernetes.
//
// An authorizer does not see what is written; that is left to the admission
// plugin NodeRestriction.
package node

import (
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
)

// UserPrefix comes before a node's name in the name of its user.
const UserPrefix = "system:node:"

// User is who the agent of a node is to the API.
func User(name string) *user.DefaultInfo {
	return &user.DefaultInfo{Name: UserPrefix + name, Groups: []string{user.NodesGroup}}
}

// Name tells whether u is a node, and which. The name is empty if u is a node
// but does not say which.
func Name(u user.Info) (name string, isNode bool) {
	if u == nil || !slices.Contains(u.GetGroups(), user.NodesGroup) {
		return "", false
	}
	return strings.CutPrefix(u.GetName(), UserPrefix)
}
