// Package server puts the API server together: k8s.io/apiserver over the kinds
// of package kinds, on the etcd of package store, with TLS, authentication,
// authorisation and admission. Parts that run in the same process reach it
// without a network, through Client, Informers and Writer.
//
// What the kinds are and how they behave is left to package kinds; controllers,
// scheduler and agent only ever meet here through the API, but for the pods that the
// scheduler places while they are stored (PlaceWith).
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/garrison-project/garrison/internal/api/kinds"
	"github.com/garrison-project/garrison/internal/api/token"
	"github.com/garrison-project/garrison/internal/server/nodeproxy"
	"github.com/garrison-project/garrison/internal/server/pki"
	"github.com/garrison-project/garrison/internal/store"
	"github.com/garrison-project/garrison/internal/writer"
)

const (
	// readyTimeout bounds the time from listening to ready.
	readyTimeout = time.Minute
	// drainTimeout is how long open requests may hold up the end. Watches are
	// asked to end in the first half of it; HTTP/2 then takes a second to close
	// each connection.
	drainTimeout = 2 * time.Second
	// renewInterval is how often certificates are looked at while serving.
	renewInterval = 12 * time.Hour
)

// Config says how to serve.
type Config struct {
	// DataDir holds the database, the keys and the administrator's kubeconfig.
	// It is created if need be. Required.
	DataDir string
	// BindAddress is the IP address to listen on, 127.0.0.1 if empty.
	BindAddress string
	// Port to listen on; 0 picks a free one.
	Port int
	// EtcdServers are the URLs of an external etcd. With none, etcd is embedded.
	EtcdServers []string
	// EtcdTLS are the files for https URLs among them.
	EtcdTLS store.TLSFiles
	// KubeconfigOut is where the administrator's kubeconfig goes. If empty, it
	// is admin.kubeconfig in DataDir.
	KubeconfigOut string
	// ServiceAccountIssuer is the issuer that tokens of service accounts name, a
	// URL; by default that of Kubernetes.
	ServiceAccountIssuer string
}

// DefaultServiceAccountIssuer is the name under which tokens are issued unless
// told otherwise.
const DefaultServiceAccountIssuer = "https://kubernetes.default.svc"

// Server is a running API server.
type Server struct {
	cfg      Config
	store    *store.Store
	listener net.Listener
	keys     *pki.Files
	tokens   *token.Issuer
	nodes    nodeCertificates

	served    *kinds.Set
	admit     admission.Interface
	handler   http.Handler
	serve     func(context.Context) error
	rest      *rest.Config
	client    kubernetes.Interface
	informers *informerFactory
	writer    *writer.Direct
	agents    *nodeproxy.Proxy

	bootstrapped atomic.Bool        // says that the first objects exist
	cancel       context.CancelFunc // ends what the server runs
	done         chan struct{}      // closed when everything has ended
	err          error              // why, once done is closed
}

// Start starts the server and returns when it is ready: /readyz says ok, and
// the objects that every cluster has exist. The server runs until Shutdown, or
// until it cannot go on, which Done tells; ctx bounds the start alone.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{cfg: cfg.withDefaults(), done: make(chan struct{})}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	if err := s.prepare(ctx, running); err != nil {
		return nil, errors.Join(err, s.release())
	}
	go s.run(running)
	if err := s.awaitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the API server: %w", err), s.Shutdown())
	}
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.BindAddress == "" {
		c.BindAddress = "127.0.0.1"
	}
	if c.KubeconfigOut == "" {
		c.KubeconfigOut = filepath.Join(c.DataDir, "admin.kubeconfig")
	}
	if c.ServiceAccountIssuer == "" {
		c.ServiceAccountIssuer = DefaultServiceAccountIssuer
	}
	return c
}

// prepare does all that comes before serving. What it starts ends with running
// or in release.
func (s *Server) prepare(ctx, running context.Context) (err error) {
	s.store, err = store.Open(ctx, store.Config{Dir: filepath.Join(s.cfg.DataDir, "etcd"), Servers: s.cfg.EtcdServers, TLS: s.cfg.EtcdTLS})
	if err != nil {
		return err
	}
	if s.listener, err = listen(ctx, s.cfg); err != nil {
		return err
	}
	if s.keys, err = s.ensureKeys(time.Now()); err != nil {
		return err
	}
	if s.tokens, err = s.newIssuer(); err != nil {
		return err
	}
	if err := s.assemble(running); err != nil {
		return fmt.Errorf("assemble the API server: %w", err)
	}
	return nil
}

func listen(ctx context.Context, cfg Config) (net.Listener, error) {
	address := net.JoinHostPort(cfg.BindAddress, strconv.Itoa(cfg.Port))
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d of %s is in use by another process: choose another, or 0 for any that is free (%w)", cfg.Port, cfg.BindAddress, err)
	}
	return l, err
}

// run serves until ctx is done or the store fails, and then ends everything:
// first the API server, with its requests and watches, then the informers, and
// etcd last, for all of them use it.
func (s *Server) run(ctx context.Context) {
	defer close(s.done)
	go s.renewKeys(ctx)
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx) }()
	select {
	case err := <-served:
		s.err = fmt.Errorf("serve the API: %w", err)
		served <- nil
	case err := <-s.store.Failed():
		s.err = fmt.Errorf("etcd cannot go on: %w", err)
	case <-ctx.Done():
	}
	s.cancel()
	s.agents.Close() // streams end then, which nobody else waits for
	select {
	case err := <-served:
		s.err = errors.Join(s.err, err)
	case <-time.After(drainTimeout + time.Second):
		s.err = errors.Join(s.err, errors.New("stop the API server: requests are still open"))
	}
	s.informers.Shutdown()
	s.err = errors.Join(s.err, s.store.Close())
}

// release undoes a start that failed before anything was served.
func (s *Server) release() error {
	s.cancel()
	if s.served != nil {
		for _, gr := range s.served.Resources() {
			s.served.Store(gr).Destroy()
		}
	}
	var err error
	if s.listener != nil {
		err = s.listener.Close()
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	return err
}

// awaitReady waits until requests can be served, creates the first objects and
// lets /readyz say so.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("not ready in time"))
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, 5*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		select {
		case <-s.done:
			return false, s.err
		default:
		}
		last = s.client.Discovery().RESTClient().Get().AbsPath("/readyz").Param("exclude", bootstrapCheck).Do(ctx).Error()
		return last == nil, nil
	})
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), last)
	}
	if err != nil {
		return err
	}
	if err := bootstrap(ctx, s.client, s.port()); err != nil {
		return err
	}
	s.bootstrapped.Store(true)
	return nil
}

// Shutdown ends the server and returns when it has ended, which takes no more
// than five seconds. It returns what went wrong, if anything did, since Start.
func (s *Server) Shutdown() error {
	s.cancel()
	<-s.done
	return s.err
}

// Done is closed when the server has ended, by Shutdown or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why the server ended, nil after a clean Shutdown. It may only be
// called once Done is closed.
func (s *Server) Err() error { return s.err }

// URL is where clients on this machine reach the server.
func (s *Server) URL() string {
	host := s.cfg.BindAddress
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(s.port()))
}

func (s *Server) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Kubeconfig is the path of the administrator's kubeconfig.
func (s *Server) Kubeconfig() string { return s.cfg.KubeconfigOut }

// CABundle is the certificate that clients verify the server with, in PEM.
func (s *Server) CABundle() []byte { return s.keys.Authority }

// Tokens issues the tokens of service accounts.
func (s *Server) Tokens() *token.Issuer { return s.tokens }

// RESTConfig returns a configuration for clients in this process. Their
// requests go through the whole chain of the server (authentication, admission,
// managed fields), but not through a network.
func (s *Server) RESTConfig() *rest.Config { return rest.CopyConfig(s.rest) }

// Client returns a client made from RESTConfig.
func (s *Server) Client() kubernetes.Interface { return s.client }

// Informers returns the informers that all parts of this process share. They
// read straight from the server's watch cache, and their objects are shared
// with it: copy before changing one. Start those that you asked for; they end
// with the server at the latest.
func (s *Server) Informers() informers.SharedInformerFactory { return s.informers }

// Writer returns the short way into the store.
func (s *Server) Writer() writer.Writer { return s.writer }

// PlaceWith lets p place new pods from now on, so that they can be stored bound.
func (s *Server) PlaceWith(p kinds.Placer) { s.served.PlaceWith(p) }
