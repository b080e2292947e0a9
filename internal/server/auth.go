package server

import (
	"net/http"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	authorizerunion "k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// self is who the parts of this process are to the API.
var self = &user.DefaultInfo{Name: "system:garrison", Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}

// healthPaths are open to everyone.
var healthPaths = []string{"/healthz", "/livez", "/readyz"}

// newAuthenticator finds out who makes a request: this process, or the subject
// of a client certificate. Anyone may ask for the server's health.
func newAuthenticator(clients dynamiccertificates.CAContentProvider) authenticator.Request {
	conditions := make([]apiserver.AnonymousAuthCondition, 0, len(healthPaths))
	for _, p := range healthPaths {
		conditions = append(conditions, apiserver.AnonymousAuthCondition{Path: p})
	}
	known := group.NewAuthenticatedGroupAdder(union.New(
		authenticator.RequestFunc(authenticateInProcess),
		rememberCertificates(x509.NewDynamic(clients.VerifyOptions, x509.CommonNameUserConversion)),
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

// newAuthorizer lets administrators do everything, and everyone see the
// server's health. All else is denied.
func newAuthorizer() (authorizer.Authorizer, error) {
	health, err := path.NewAuthorizer(healthPaths)
	if err != nil {
		return nil, err
	}
	return authorizerunion.New(
		authorizerunion.NamedAuthorizer{AuthorizerName: "admin", Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)},
		authorizerunion.NamedAuthorizer{AuthorizerName: "health", Authorizer: health},
	)
}
