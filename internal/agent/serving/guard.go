package serving

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/klog/v2"
)

// How long answers of the API server are believed, as kubelets have it.
const (
	tokenTTL      = 2 * time.Minute
	allowTTL      = 5 * time.Minute
	denyTTL       = 30 * time.Second
	reviewTimeout = 10 * time.Second
)

// retries are made while the API server does not answer.
var retries = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 5}

// guard lets in who the API server says may do what they ask for.
type guard struct {
	node        string
	authorities *x509.CertPool
	who         authenticator.Request
	may         authorizer.Authorizer
}

func newGuard(o Options) (*guard, error) {
	g := &guard{node: o.NodeName, authorities: x509.NewCertPool()}
	if !g.authorities.AppendCertsFromPEM(o.ClientAuthority) {
		return nil, errors.New("serve the agent's API: there is no authority of client certificates")
	}
	authority, err := dynamiccertificates.NewStaticCAContent("client-ca", o.ClientAuthority)
	if err != nil {
		return nil, fmt.Errorf("serve the agent's API: %w", err)
	}
	// Nobody is let in without a name.
	g.who, _, err = authenticatorfactory.DelegatingAuthenticatorConfig{
		TokenAccessReviewClient:            o.Client.AuthenticationV1(),
		TokenAccessReviewTimeout:           reviewTimeout,
		WebhookRetryBackoff:                &retries,
		CacheTTL:                           tokenTTL,
		ClientCertificateCAContentProvider: authority,
	}.New()
	if err != nil {
		return nil, fmt.Errorf("delegate authentication: %w", err)
	}
	g.may, err = authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: o.Client.AuthorizationV1(),
		AllowCacheTTL:             allowTTL,
		DenyCacheTTL:              denyTTL,
		WebhookRetryBackoff:       &retries,
	}.New()
	if err != nil {
		return nil, fmt.Errorf("delegate authorisation: %w", err)
	}
	return g, nil
}

// protect serves next to those who may.
func (g *guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response, ok, err := g.who.AuthenticateRequest(r)
		if err != nil {
			klog.FromContext(r.Context()).V(2).Info("Refused a request", "path", r.URL.Path, "reason", err)
		}
		if err != nil || !ok {
			fail(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		if refused := g.authorize(r, response.User); refused != nil {
			fail(w, refused.code, refused.text)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refusal is the answer to who may not.
type refusal struct {
	code int
	text string
}

// authorize asks whether a user may do what a request is for, which one of several
// subresources of the node may allow. It returns nil if so.
func (g *guard) authorize(r *http.Request, who user.Info) *refusal {
	wanted := authorizer.AttributesRecord{
		User: who, Verb: verbs[r.Method], APIVersion: "v1", Resource: "nodes", Name: g.node, ResourceRequest: true, Path: r.URL.Path,
	}
	subresources := subresourcesOf(r.URL.Path)
	for _, wanted.Subresource = range subresources {
		decision, _, err := g.may.Authorize(r.Context(), wanted)
		if decision == authorizer.DecisionAllow {
			return nil
		}
		if err != nil {
			klog.FromContext(r.Context()).Error(err, "The API server does not say who may do what", "path", r.URL.Path)
			return &refusal{http.StatusInternalServerError, fmt.Sprintf("Authorization error (user=%s, verb=%s, resource=%s, subresource=%s)",
				who.GetName(), wanted.Verb, wanted.Resource, wanted.Subresource)}
		}
	}
	return &refusal{http.StatusForbidden, fmt.Sprintf("Forbidden (user=%s, verb=%s, resource=%s, subresource(s)=%v)",
		who.GetName(), wanted.Verb, wanted.Resource, subresources)}
}

var verbs = map[string]string{
	http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// special are the paths that have a subresource of their own, beside or instead of
// the proxy that stands for all of an agent.
var special = []struct {
	path         string
	subresources []string
}{
	{"/pods", []string{"pods", "proxy"}},
	{"/runningpods", []string{"pods", "proxy"}},
	{"/healthz", []string{"healthz", "proxy"}},
	{"/configz", []string{"configz", "proxy"}},
	{"/stats", []string{"stats"}},
	{"/metrics", []string{"metrics"}},
	{"/logs", []string{"log"}},
	{"/checkpoint", []string{"checkpoint"}},
}

// subresourcesOf are the subresources of a node any of which allows a path.
func subresourcesOf(path string) []string {
	for _, s := range special {
		if path == s.path || strings.HasPrefix(path, s.path+"/") {
			return slices.Clone(s.subresources)
		}
	}
	return []string{"proxy"}
}
