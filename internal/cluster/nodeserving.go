package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"

	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/machine"
	"github.com/garrison-project/garrison/internal/agent/probe"
	"github.com/garrison-project/garrison/internal/agent/serving"
	"github.com/garrison-project/garrison/internal/agent/volume"
)

// papers are how an agent shows who it is, and tells who asks.
type papers struct {
	// certificate is the one to serve with.
	certificate func() (*tls.Certificate, error)
	// authority is that of clients' certificates, in PEM.
	authority []byte
}

// papersOf are those of a kubeconfig: the certificate that identifies the node
// towards the API server identifies its agent towards clients too.
func papersOf(api *rest.Config) (papers, error) {
	loaded := rest.CopyConfig(api)
	if err := rest.LoadTLSFiles(loaded); err != nil {
		return papers{}, fmt.Errorf("read the certificates of the kubeconfig: %w", err)
	}
	if len(loaded.CertData) == 0 || len(loaded.CAData) == 0 {
		return papers{}, errors.New("the kubeconfig has no certificates to serve with: make one on the server's machine with 'garrison kubeconfig node NAME'")
	}
	return papers{func() (*tls.Certificate, error) { return keyPair(api) }, loaded.CAData}, nil
}

// listen takes the address that the agent serves at, which its node tells.
func (a *nodeAgent) listen(ctx context.Context) error {
	address := net.JoinHostPort(a.cfg.BindAddress, strconv.Itoa(a.cfg.Port))
	var err error
	a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d of %s is in use by another process, perhaps another agent or a kubelet: choose another with --agent-port, or 0 for any that is free (%w)",
			a.cfg.Port, a.cfg.BindAddress, err)
	}
	if err != nil {
		return fmt.Errorf("listen for requests to the agent: %w", err)
	}
	a.cfg.Node.Port = a.listener.Addr().(*net.TCPAddr).Port
	return nil
}

// serve makes the parts that serve logs, streams and figures of the pods that loop
// runs, and tell whether it is well.
func (a *nodeAgent) serve(loop *agent.Agent, volumes *volume.Manager, prober *probe.Prober) ([]part, error) {
	configuration, err := a.configuration()
	if err != nil {
		return nil, err
	}
	server, err := serving.New(serving.Options{
		NodeName:        a.cfg.Node.Name,
		Certificate:     a.papers.certificate,
		ClientAuthority: a.papers.authority,
		Client:          a.client,
		Pods:            loop,
		Runtime:         a.runtime,
		Machine:         machine.Open("/"),
		Volumes:         volumes,
		StorageDir:      a.cfg.Node.StorageDir,
		ImageDir:        a.cfg.Node.ImageDir,
		Metrics:         []metrics.Gatherer{loop.Metrics(), a.runtime.Metrics()},
		Probes:          prober.Metrics(),
		Configuration:   configuration,
		Checks: []healthz.HealthChecker{
			healthz.NamedCheck("syncloop", func(*http.Request) error { return loop.CheckSync() }),
			healthz.NamedCheck("runtime", func(*http.Request) error { return loop.CheckRuntime() }),
		},
	})
	if err != nil {
		return nil, err
	}
	served := []part{{"agent's server", func(ctx context.Context) {
		if err := server.Run(ctx, a.listener); err != nil {
			klog.FromContext(ctx).Error(err, "The agent does not serve any more")
		}
	}}}
	if a.cfg.HealthzPort != 0 {
		served = append(served, part{"agent's health", func(ctx context.Context) { a.serveHealth(ctx, server) }})
	}
	return served, nil
}

// DefaultHealthzPort is where agents, as kubelets, tell whether they are well.
const DefaultHealthzPort = 10248

// serveHealth tells whether the agent is well. Of several agents on a machine only
// one can have the usual port, which is no news.
func (a *nodeAgent) serveHealth(ctx context.Context, server *serving.Server) {
	address := net.JoinHostPort(a.cfg.HealthzAddress, strconv.Itoa(a.cfg.HealthzPort))
	server.RunHealth(ctx, address, func(err error) {
		logger := klog.FromContext(ctx)
		if a.cfg.HealthzPort == DefaultHealthzPort && errors.Is(err, syscall.EADDRINUSE) {
			logger.V(1).Info("Another process tells of its health at the usual port", "address", address)
			return
		}
		logger.Error(err, "The agent cannot tell of its health, tries again", "address", address)
	})
}
