package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/garrison-project/garrison/internal/agent/serving"
	"github.com/garrison-project/garrison/internal/agent/simulated"
	"github.com/garrison-project/garrison/internal/server"
	"github.com/garrison-project/garrison/internal/store"
)

// stopTimeout is how long the whole process may take to end.
const stopTimeout = 5 * time.Second

// Config is what one process is to run. DataDir is required.
type Config struct {
	DataDir       string // holds database, keys and the admin's kubeconfig
	BindAddress   string // IP address, by default 127.0.0.1
	Port          int    // 0 picks a free one
	KubeconfigOut string // file for the admin's kubeconfig, by default in DataDir
	// EtcdServers are URLs; none: etcd runs in this process. Of several servers
	// on one etcd, the parts of one work, and those of the others stand by.
	EtcdServers []string
	// EtcdTLS are the files for https URLs among them.
	EtcdTLS store.TLSFiles
	// ServiceAccountIssuer is the issuer that tokens name, a URL; by default that
	// of Kubernetes.
	ServiceAccountIssuer string
	SimulateNodes        int // nodes to create at start, unless they exist
	// NodeMonitorGracePeriod is how long a node may be silent before it counts
	// as unreachable; by default what Kubernetes has.
	NodeMonitorGracePeriod time.Duration
	// ClusterCIDR is the range that nodes get parts of for the addresses of their
	// pods; by default 10.84.0.0/16.
	ClusterCIDR netip.Prefix
	// Controllers are the parts to run beside the server, by default all.
	Controllers Selection
	// Agent says how this machine is a node; nil: it is none.
	Agent *AgentConfig
}

// Cluster is a running process: the server and what works on it.
type Cluster struct {
	*server.Server
	parts *parts
	agent *nodeAgent // nil if this machine is no node
}

// Run starts a cluster, calls ready once all of it works, and keeps it until ctx
// is done. It returns nil if it ended because of ctx, and ended well.
func Run(ctx context.Context, cfg Config, ready func(*Cluster)) error {
	c, err := Start(ctx, cfg)
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to end before it was up
		}
		return err
	}
	ready(c)
	select {
	case <-ctx.Done():
	case <-c.Done():
	case <-c.parts.failed:
	case <-c.agentFailed():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return c.Stop(stopping)
}

// Start starts a cluster and returns when all of it works: the API is ready, the
// parts have seen what is stored, and the simulated nodes exist. The cluster
// runs until Stop; ctx bounds the start alone.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	s, err := server.Start(ctx, server.Config{
		DataDir:              cfg.DataDir,
		BindAddress:          cfg.BindAddress,
		Port:                 cfg.Port,
		EtcdServers:          cfg.EtcdServers,
		EtcdTLS:              cfg.EtcdTLS,
		KubeconfigOut:        cfg.KubeconfigOut,
		ServiceAccountIssuer: cfg.ServiceAccountIssuer,
	})
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("%w: end that process, or choose another data directory", err)
	}
	if err != nil {
		return nil, err
	}
	c := &Cluster{Server: s}
	err = c.startParts(ctx, cfg)
	if err == nil && cfg.Agent != nil {
		err = c.startAgent(ctx, *cfg.Agent)
	}
	if err != nil {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return nil, errors.Join(err, c.Stop(stopping))
	}
	return c, nil
}

// startParts starts what works on the server.
func (c *Cluster) startParts(ctx context.Context, cfg Config) error {
	all, err := assemble(c.Server, cfg)
	if err != nil {
		return fmt.Errorf("put the parts together: %w", err)
	}
	if len(cfg.EtcdServers) > 0 {
		election, err := serversElection()
		if err != nil {
			return err
		}
		all = []part{election.elected(c.RESTConfig(), all)}
	}
	running := context.WithoutCancel(ctx)
	c.Informers().Start(running.Done())
	c.parts = startParts(running, all)
	for kind, synced := range c.Informers().WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("read what is stored of %v: %w", kind, context.Cause(ctx))
		}
	}
	return simulated.CreateNodes(ctx, c.Client(), cfg.SimulateNodes)
}

// startAgent makes this machine a node.
func (c *Cluster) startAgent(ctx context.Context, cfg AgentConfig) error {
	cfg, err := cfg.complete()
	if err != nil {
		return err
	}
	name := cfg.Node.Name
	certificate, err := c.NodeCertificate(name, cfg.Node.Addresses...)
	if err != nil {
		return err
	}
	access := nodeAccess{
		api: c.NodeRESTConfig(name), writer: c.NodeWriter(name), server: strings.TrimPrefix(c.URL(), "https://"),
		papers: papers{serving.CertificateFile(certificate), c.CABundle()},
	}
	if c.agent, err = startAgent(ctx, cfg, access); err != nil {
		return err
	}
	c.SetAgentAddress(name, c.agent.address())
	ctx, cancel := context.WithTimeout(ctx, nodeReadyTimeout)
	defer cancel()
	return c.agent.awaitReady(ctx)
}

// agentFailed is closed when a part of the agent has ended by itself.
func (c *Cluster) agentFailed() <-chan struct{} {
	if c.agent == nil {
		return nil
	}
	return c.agent.parts.failed
}

// Stop ends the agent, the parts, then the server, and returns when all has ended or ctx is
// done. It returns what went wrong since Start, if anything did. It is to be
// called once.
func (c *Cluster) Stop(ctx context.Context) error {
	var err error
	if c.agent != nil {
		err = c.agent.stop(ctx)
	}
	if c.parts != nil {
		err = errors.Join(err, c.parts.stop(ctx))
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Shutdown() }()
	select {
	case failure := <-ended:
		return errors.Join(err, failure)
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("stop the server: %w", ctx.Err()))
	}
}
