package kinds_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/garrison-project/garrison/internal/api"
	"github.com/garrison-project/garrison/internal/api/kinds"
	"github.com/garrison-project/garrison/internal/api/openapi"
	"github.com/garrison-project/garrison/internal/api/token"
	"github.com/garrison-project/garrison/internal/store"
)

// cluster serves the table of kinds, without admission, to one user.
type cluster struct {
	kubernetes.Interface
	set    *kinds.Set
	config *rest.Config
}

// onlyReadPods allows the verb get on pods, and nothing else.
func onlyReadPods(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() == "get" && a.GetResource() == "pods" {
		return authorizer.DecisionAllow, "pods may be read", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// podRules says the same as onlyReadPods.
type podRules struct{}

func (podRules) RulesFor(context.Context, user.Info, string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	return []authorizer.ResourceRuleInfo{&authorizer.DefaultResourceRuleInfo{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}},
		[]authorizer.NonResourceRuleInfo{&authorizer.DefaultNonResourceRuleInfo{Verbs: []string{"get"}, NonResourceURLs: []string{"/version"}}},
		true, errors.New("there may be more")
}

// adasToken knows one token.
func adasToken(r *http.Request) (*authenticator.Response, bool, error) {
	if r.Header.Get("Authorization") != "Bearer adas" {
		return nil, false, errors.New("no such token")
	}
	return &authenticator.Response{User: ada}, true, nil
}

var ada = &user.DefaultInfo{Name: "ada", Groups: []string{"engineers"}, Extra: map[string][]string{"floor": {"3"}}}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := token.NewIssuer("https://issuer", key)
	if err != nil {
		t.Fatal(err)
	}
	set, err := kinds.Build(kinds.Options{RESTOptions: st, Tokens: issuer})
	if err != nil {
		t.Fatal(err)
	}
	set.ServeReviews(kinds.Reviewers{
		Authorizer:    authorizer.AuthorizerFunc(onlyReadPods),
		Authenticator: authenticator.RequestFunc(adasToken),
		APIAudiences:  authenticator.Audiences{"here"},
		Rules:         podRules{},
	})
	set.ServeConnections(kinds.Connections{})
	server := newServer(t, set)
	t.Cleanup(server.Destroy)
	as := func(w http.ResponseWriter, r *http.Request) {
		server.Handler.ServeHTTP(w, r.WithContext(genericapirequest.WithUser(r.Context(), ada)))
	}
	front := httptest.NewServer(http.HandlerFunc(as))
	t.Cleanup(front.Close)
	config := &rest.Config{Host: front.URL, QPS: -1}
	return &cluster{Interface: kubernetes.NewForConfigOrDie(config), set: set, config: config}
}

func newServer(t *testing.T, set *kinds.Set) *genericapiserver.GenericAPIServer {
	t.Helper()
	c := genericapiserver.NewConfig(api.Codecs)
	c.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	c.ExternalAddress = "127.0.0.1:443"
	c.PublicAddress = net.IPv4(127, 0, 0, 1)
	c.LoopbackClientConfig = &rest.Config{}
	c.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	namer := openapinamer.NewDefinitionNamer(api.OpenAPIScheme())
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	server, err := c.Complete(nil).New("kinds", genericapiserver.NewEmptyDelegate())
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range set.APIGroups() {
		if group.PrioritizedVersions[0].Group == "" {
			err = server.InstallLegacyAPIGroup("/api", group)
		} else {
			err = server.InstallAPIGroup(group)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	server.PrepareRun()
	return server
}
