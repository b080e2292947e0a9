package server

import (
	"context"
	"errors"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/garrison-project/garrison/internal/api"
	"github.com/garrison-project/garrison/internal/api/kinds"
	"github.com/garrison-project/garrison/internal/server/serviceaccount"
	"github.com/garrison-project/garrison/internal/writer"
)

// assemble builds the API server and the ways into it. Informers run until ctx
// is done at the latest.
func (s *Server) assemble(ctx context.Context) (err error) {
	if s.served, err = kinds.Build(kinds.Options{RESTOptions: s.store, Tokens: s.tokens}); err != nil {
		return err
	}
	inMemory := &transport{user: self}
	s.rest = loopback(inMemory)
	if s.client, err = kubernetes.NewForConfig(s.rest); err != nil {
		return err
	}
	s.informers = newInformerFactory(ctx, s.client, s.served, s.store.Latest)
	g, err := s.newGates()
	if err != nil {
		return err
	}
	s.admit = g.admission
	s.writer = writer.NewDirect(writer.DirectOptions{Storage: s.served, Admission: g.admission, User: self})
	generic, err := s.newHandler(g)
	if err != nil {
		return err
	}
	s.handler, inMemory.handler = generic.Handler, generic.Handler
	s.serve = generic.PrepareRun().RunWithContext
	return nil
}

// gates are what a request passes on its way to the store.
type gates struct {
	clients       dynamiccertificates.CAContentProvider // signs certificates of clients
	authenticator authenticator.Request
	authorizer    authorizer.Authorizer
	admission     admission.Interface
}

// newGates builds the gates, and serves what asks them for an opinion.
func (s *Server) newGates() (*gates, error) {
	authority, err := dynamiccertificates.NewStaticCAContent("garrison-ca", s.keys.Authority)
	if err != nil {
		return nil, err
	}
	may, err := newAccess(s.informers)
	if err != nil {
		return nil, err
	}
	accounts := serviceaccount.New(serviceaccount.Options{Issuer: s.tokens, Client: s.client, Informers: s.informers})
	s.served.ServeReviews(kinds.Reviewers{
		Authenticator: group.NewAuthenticatedGroupAdder(bearertoken.New(accounts)),
		APIAudiences:  s.audiences(),
		Authorizer:    may.all,
		Rules:         may.rules,
	})
	if err := s.serveConnections(may.all); err != nil {
		return nil, err
	}
	admit, err := newAdmission(admissionOptions{s.client, s.informers, s.served, may.guard})
	return &gates{
		clients:       authority,
		authenticator: newAuthenticator(authority, accounts),
		authorizer:    may.all,
		admission:     admit,
	}, err
}

// newHandler builds what answers requests that have passed the gates.
func (s *Server) newHandler(g *gates) (*genericapiserver.GenericAPIServer, error) {
	config := newGenericConfig(g)
	if err := s.configure(config, g.clients); err != nil {
		return nil, err
	}
	generic, err := config.Complete(s.informers).New("garrison", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	if err := install(generic, config, s.served); err != nil {
		return nil, err
	}
	serveOpenAPI(generic, config)
	generic.ShutdownTimeout = drainTimeout
	return generic, serviceaccount.ServeDiscovery(generic.Handler.NonGoRestfulMux, s.tokens, s.URL())
}

// configure says how this server listens, stores and knows that it is well.
func (s *Server) configure(config *genericapiserver.Config, clients dynamiccertificates.CAContentProvider) error {
	cert, err := dynamiccertificates.NewDynamicServingContentFromFiles("serving", s.keys.ServingFile, s.keys.ServingFile)
	if err != nil {
		return err
	}
	config.SecureServing = &genericapiserver.SecureServingInfo{
		Listener:                     s.listener,
		Cert:                         cert,
		ClientCA:                     clients,
		HTTP2MaxStreamsPerConnection: 1000,
	}
	config.Authentication.APIAudiences = s.audiences()
	config.LoopbackClientConfig = s.rest
	config.RESTOptionsGetter = s.store
	config.AddHealthChecks(healthz.NamedCheck("etcd", func(r *http.Request) error { return s.store.Check(r.Context()) }))
	config.AddReadyzChecks(healthz.NamedCheck(bootstrapCheck, s.checkBootstrapped))
	return nil
}

// loopback configures clients that call the server through t.
func loopback(t http.RoundTripper) *rest.Config {
	return &rest.Config{
		Host:      "https://garrison.in-process",
		Transport: t,
		QPS:       -1, // in-flight limits of the server apply
		ContentConfig: rest.ContentConfig{
			ContentType:        runtime.ContentTypeProtobuf,
			AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON,
		},
	}
}

// newGenericConfig returns what does not depend on the one server.
func newGenericConfig(g *gates) *genericapiserver.Config {
	config := genericapiserver.NewConfig(api.Codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.Authentication.Authenticator = g.authenticator
	config.Authorization.Authorizer = g.authorizer
	config.AdmissionControl = g.admission
	config.LongRunningFunc = longRunning
	config.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return filters(refuseResizing(handler), c)
	}
	// Watches are asked to end in this time, at the end.
	config.ShutdownWatchTerminationGracePeriod = drainTimeout / 2

	describe(config)
	return config
}

// bootstrapCheck is the name of the readiness check below.
const bootstrapCheck = "bootstrap"

func (s *Server) checkBootstrapped(*http.Request) error {
	if !s.bootstrapped.Load() {
		return errors.New("the first objects do not exist yet")
	}
	return nil
}
