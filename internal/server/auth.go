package server

import (
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	authorizerunion "k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/informers"

	"github.com/garrison-project/garrison/internal/server/node"
	"github.com/garrison-project/garrison/internal/server/rbac"
)

// self is who the parts of this process are to the API.
var self = &user.DefaultInfo{Name: "system:garrison", Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}

// healthPaths are open to everyone.
var healthPaths = []string{"/healthz", "/livez", "/readyz"}

// newAuthenticator finds out who makes a request: this process, the subject of a
// client certificate, or a service account. Anyone may ask for the server's
// health.
func newAuthenticator(clients dynamiccertificates.CAContentProvider, accounts authenticator.Token) authenticator.Request {
	conditions := make([]apiserver.AnonymousAuthCondition, 0, len(healthPaths))
	for _, p := range healthPaths {
		conditions = append(conditions, apiserver.AnonymousAuthCondition{Path: p})
	}
	known := group.NewAuthenticatedGroupAdder(union.New(
		authenticator.RequestFunc(authenticateInProcess),
		rememberCertificates(x509.NewDynamic(clients.VerifyOptions, x509.CommonNameUserConversion)),
		bearertoken.New(accounts),
		websocket.NewProtocolAuthenticator(accounts),
	))
	return union.New(known, anonymous.NewAuthenticator(conditions))
}

func authenticateInProcess(req *http.Request) (*authenticator.Response, bool, error) {
	u, ok := req.Context().Value(inProcess{}).(user.Info)
	if !ok {
		return nil, false, nil
	}
	return &authenticator.Response{User: u}, true, nil
}

// access decides who may do what.
type access struct {
	// all asks in turn: are they an administrator, is it the server's health, is
	// it a node's own, does a role allow it. What none allows is denied.
	all authorizer.Authorizer
	// rules lists what roles allow.
	rules authorizer.RuleResolver
	// guard keeps users from granting more than they have.
	guard *rbac.Guard
}

// newAccess reads roles and pods from f.
func newAccess(f informers.SharedInformerFactory) (*access, error) {
	health, err := path.NewAuthorizer(healthPaths)
	if err != nil {
		return nil, err
	}
	graph := node.NewGraph()
	if _, err := graph.Follow(f.Core().V1().Pods().Informer()); err != nil {
		return nil, fmt.Errorf("follow pods: %w", err)
	}
	nodes, roles := node.NewAuthorizer(graph), rbac.New(f.Rbac().V1())
	all, err := authorizerunion.New(
		authorizerunion.NamedAuthorizer{AuthorizerName: "admin", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		authorizerunion.NamedAuthorizer{AuthorizerName: "health", Authorizer: health},
		authorizerunion.NamedAuthorizer{AuthorizerName: "node", Authorizer: authorizer.AuthorizerFunc(nodes.Authorize)},
		authorizerunion.NamedAuthorizer{AuthorizerName: "rbac", Authorizer: authorizer.AuthorizerFunc(roles.Authorize)},
	)
	if err != nil {
		return nil, err
	}
	return &access{all: all, rules: authorizerunion.NewRuleResolvers(nodes, roles), guard: rbac.NewGuard(roles, all)}, nil
}
