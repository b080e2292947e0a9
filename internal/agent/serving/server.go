package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/cri"
	"github.com/garrison-project/garrison/internal/agent/machine"
)

const (
	// requestTimeout bounds a request, also one that follows a log. Streams are
	// the runtime's, which ends those that are idle for as long.
	requestTimeout = 4 * time.Hour
	idleTimeout    = 90 * time.Second
	headerTimeout  = 30 * time.Second
)

// Pods finds the pods of the machine.
type Pods interface {
	Find(name types.NamespacedName, uid types.UID) (agent.Found, bool)
	All() []agent.Found
}

// Runtime has the streams of containers, and knows what they use.
type Runtime interface {
	ExecURL(ctx context.Context, id string, command []string, streams cri.Streams) (string, error)
	AttachURL(ctx context.Context, id string, streams cri.Streams) (string, error)
	PortForwardURL(ctx context.Context, sandbox string, ports []int32) (string, error)
	Stats(ctx context.Context) ([]statsapi.PodStats, error)
	ControlGroup(ctx context.Context, uid string) (cri.ControlGroup, error)
}

// Options are what a Server works with. Those before Metrics are
// required.
type Options struct {
	NodeName string
	// Certificate gives the certificate to serve with, for each connection: it may
	// be renewed.
	Certificate func() (*tls.Certificate, error)
	// ClientAuthority is that of client certificates, in PEM.
	ClientAuthority []byte
	// Client is asked who has a token, and who may do what.
	Client  kubernetes.Interface
	Pods    Pods
	Runtime Runtime
	Machine *machine.Machine
	Volumes Volumes
	// StorageDir lies in the file system of pods' files, ImageDir in that of images.
	StorageDir, ImageDir string
	// Metrics are the agent's own numbers, Probes serves those of its probes. There
	// may be none.
	Metrics []metrics.Gatherer
	Probes  http.Handler
	// Configuration is shown to who asks how the agent is set up; it may be nil.
	Configuration any
	// Checks tell whether the agent is well, beside that it answers at all.
	Checks []healthz.HealthChecker
}

// Server serves what an agent is asked for.
type Server struct {
	Options
	guard   *guard
	dialer  *connrotation.Dialer
	handler http.Handler
	summary *summary
	// busy has the requests that are being served.
	busy gate
}

// New returns a Server that waits for Run.
func New(o Options) (*Server, error) {
	if o.NodeName == "" || o.Certificate == nil || o.Client == nil || o.Pods == nil || o.Runtime == nil || o.Machine == nil || o.Volumes == nil {
		return nil, errors.New("the agent's server lacks one of the parts it works with")
	}
	g, err := newGuard(o)
	if err != nil {
		return nil, err
	}
	s := &Server{Options: o, guard: g, summary: &summary{Options: o, storage: storage{pods: o.Pods, volumes: o.Volumes}}}
	s.dialer = connrotation.NewDialer((&net.Dialer{Timeout: headerTimeout}).DialContext)
	s.handler = s.busy.count(g.protect(s.routes()))
	return s, nil
}

// routes are the paths of a kubelet.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	s.installHealth(mux)
	mux.HandleFunc("GET /pods", s.servePods)
	mux.HandleFunc("GET /pods/{$}", s.servePods)
	mux.HandleFunc("GET /runningpods/{$}", s.serveRunningPods)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.serveLog)
	for path, serve := range map[string]http.HandlerFunc{
		"/exec/{namespace}/{pod}/{container}":         s.serveExec,
		"/exec/{namespace}/{pod}/{uid}/{container}":   s.serveExec,
		"/attach/{namespace}/{pod}/{container}":       s.serveAttach,
		"/attach/{namespace}/{pod}/{uid}/{container}": s.serveAttach,
		"/portForward/{namespace}/{pod}":              s.servePortForward,
		"/portForward/{namespace}/{pod}/{uid}":        s.servePortForward,
	} {
		mux.HandleFunc("GET "+path, serve)
		mux.HandleFunc("POST "+path, serve)
	}
	mux.HandleFunc("GET /stats/summary", s.serveSummary)
	mux.Handle("GET /metrics", s.metrics())
	mux.Handle("GET /metrics/cadvisor", newAdvisorMetrics(s.summary))
	if s.Configuration != nil {
		mux.HandleFunc("GET /configz", func(w http.ResponseWriter, r *http.Request) {
			answer(w, r, map[string]any{"kubeletconfig": s.Configuration})
		})
	}
	if s.Probes != nil {
		mux.Handle("GET /metrics/probes", s.Probes)
	}
	mux.Handle("GET /metrics/resource", newResourceMetrics(s.summary))
	mux.Handle("GET /logs/", http.StripPrefix("/logs/", http.FileServer(http.Dir("/var/log"))))
	return mux
}

// metrics serves the numbers of the process, and the agent's among them.
func (s *Server) metrics() http.Handler {
	all := prometheus.Gatherers{legacyregistry.DefaultGatherer}
	for _, m := range s.Metrics {
		all = append(all, m)
	}
	return metrics.HandlerFor(all, metrics.HandlerOpts{ErrorHandling: metrics.ContinueOnError})
}

// Run serves on a listener until ctx is done, and then ends all that is being
// served. It closes the listener.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s.handler,
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Certificate() },
			ClientAuth:     tls.RequestClientCert,
			ClientCAs:      s.guard.authorities,
		},
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(quiet{klog.FromContext(ctx)}, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve the agent's API: %w", err)
		server.Close()
	case <-ctx.Done():
		server.Close()
		<-served
	}
	// Streams are not the server's any more: they end with those to the runtime.
	s.busy.drain(s.dialer.CloseAll)
	return err
}

// quiet writes what net/http has to say where it is only seen by those who look:
// it is about clients, such as one that goes away while it is greeted.
type quiet struct{ logger klog.Logger }

func (q quiet) Write(text []byte) (int, error) {
	q.logger.V(3).Info("Serving the agent's API", "problem", string(text))
	return len(text), nil
}
