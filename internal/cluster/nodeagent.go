package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/cri"
	"github.com/garrison-project/garrison/internal/agent/machine"
	"github.com/garrison-project/garrison/internal/agent/node"
	"github.com/garrison-project/garrison/internal/agent/objects"
	"github.com/garrison-project/garrison/internal/writer"
)

// nodeReadyTimeout is how long the node of 'garrison up' may take until it is ready.
const nodeReadyTimeout = time.Minute

// AgentConfig says how this machine is a node. Dir is required.
type AgentConfig struct {
	// Dir is the folder of the agent, ImageFolder that of the OCI archives to
	// import, ManifestFolder that of the static pods, SeccompFolder that of the
	// profiles that pods name, PodLogs that of the output of containers.
	Dir, ImageFolder, ManifestFolder, SeccompFolder, PodLogs string
	// Node is what is decided about the Node object. Name, addresses, port and
	// folders are filled in.
	Node     node.Settings
	hostname string // of the machine
	// BindAddress and Port are where the agent serves; 0 picks a free port.
	BindAddress string
	Port        int
	// HealthzAddress and HealthzPort are where it tells everybody whether it is
	// well; with port 0 it does not.
	HealthzAddress string
	HealthzPort    int
	// RuntimeEndpoint is the socket of a runtime that runs already. With none a
	// containerd is started: ContainerdPath, or the one that is found.
	RuntimeEndpoint, ContainerdPath string
	// RuntimeHandlers are what runtime classes can name besides runc, in a containerd
	// of our own.
	RuntimeHandlers []containerd.Handler
	// CNIConfDir has the configuration of a pod network that others made, CNIBinDir
	// the plugins.
	CNIConfDir, CNIBinDir string
	ClusterDNS            []string
	ClusterDomain         string
	// AllowedUnsafeSysctls may be set by pods beside the safe ones.
	AllowedUnsafeSysctls []string
}

// CheckMachine tells why this machine cannot be a node: programs that it lacks are
// named with the packages that have them.
func (cfg AgentConfig) CheckMachine() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can run containers")
	}
	if cfg.RuntimeEndpoint != "" {
		return nil
	}
	_, err := containerd.Find(containerd.Needs{
		ContainerdPath: cfg.ContainerdPath, CNIBinDir: cfg.CNIBinDir, ForeignNetwork: cfg.CNIConfDir != "",
	})
	return err
}

// complete fills in what the machine itself tells.
func (cfg AgentConfig) complete() (AgentConfig, error) {
	var err error
	if cfg.hostname, err = machine.Hostname(); err != nil {
		return cfg, err
	}
	if cfg.Node.Name == "" {
		cfg.Node.Name = cfg.hostname
	}
	if problems := validation.IsDNS1123Subdomain(cfg.Node.Name); len(problems) > 0 {
		return cfg, fmt.Errorf("the host name %q cannot be the name of a node: choose one with --node-name (%s)", cfg.Node.Name, strings.Join(problems, "; "))
	}
	if len(cfg.Node.Addresses) == 0 {
		cfg.Node.Addresses = []net.IP{machine.Address()}
	}
	if cfg.BindAddress == "" {
		cfg.BindAddress = cfg.Node.Addresses[0].String()
	}
	cfg.Node.StorageDir, cfg.Node.ImageDir = cfg.Dir, cfg.Dir
	return cfg, os.MkdirAll(cfg.Dir, 0o711)
}

// nodeAccess is what an agent has of its cluster: the right to act as its node.
type nodeAccess struct {
	api    *rest.Config
	writer writer.Writer
	server string // host and port of the API server
	papers papers
}

// nodeAgent is this machine at work as a node.
type nodeAgent struct {
	cfg    AgentConfig
	client kubernetes.Interface
	writer writer.Writer
	server string // host and port of the API server, as this machine sees it
	papers papers

	listener net.Listener

	containerd    *containerd.Containerd // nil with a runtime of others
	runtime       *cri.Runtime
	importer      *containerd.Importer // nil with a runtime of others
	importing     chan struct{}        // closed when no more is imported
	broadcaster   record.EventBroadcaster
	recorder      record.EventRecorder
	record        *node.Node
	objects       *objects.Manager
	services      corelisters.ServiceLister
	servicesKnown cache.InformerSynced
	// networkProblem is what was wrong with the pod network last.
	networkProblem atomic.Pointer[error]
	parts          *parts
}

// startAgent makes this machine a node. It returns when all parts work, which
// takes the API server no answer yet; ctx bounds the start alone.
func startAgent(ctx context.Context, cfg AgentConfig, access nodeAccess) (*nodeAgent, error) {
	a := &nodeAgent{cfg: cfg, writer: access.writer, server: access.server, papers: access.papers, importing: make(chan struct{})}
	if err := a.start(ctx, access); err != nil {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("make this machine a node: %w", err), a.stop(stopping))
	}
	return a, nil
}

func (a *nodeAgent) start(ctx context.Context, access nodeAccess) error {
	var err error
	if a.client, err = kubernetes.NewForConfig(access.api); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if err := a.listen(ctx); err != nil {
		return err
	}
	if err := a.startRuntime(ctx); err != nil {
		return err
	}
	a.broadcaster = record.NewBroadcaster()
	a.broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: a.client.CoreV1().Events("")})
	a.recorder = a.broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: a.cfg.Node.Name})
	settings := a.cfg.Node
	settings.Features = agent.Features
	a.record, err = node.New(node.Options{
		Settings: settings, Client: a.client, Runtime: a.runtime, Recorder: a.recorder, Keep: a.importedImages,
	})
	if err != nil {
		return err
	}
	pods, err := a.podParts(ctx)
	if err != nil {
		return err
	}
	a.parts = startParts(context.WithoutCancel(ctx), append([]part{
		{"node", a.record.Run},
		{"pod network", a.keepNetwork},
		{"image importer", a.importImages},
		{"log rotation", a.rotateLogs},
	}, pods...))
	return nil
}

// awaitReady waits until pods can run here. With a network that others make it is
// enough that the node is registered: that network may come as a pod.
func (a *nodeAgent) awaitReady(ctx context.Context) error {
	problem := "it is not registered"
	err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(context.Context) (bool, error) {
		select {
		case <-a.parts.failed:
			return false, a.parts.failure()
		default:
		}
		ready := a.record.Readiness()
		if ready == nil {
			return false, nil
		}
		problem = ready.Message
		return !a.ownsNetwork() || ready.Status == corev1.ConditionTrue, nil
	})
	if ctx.Err() == nil {
		return err
	}
	if network := a.networkProblem.Load(); network != nil && *network != nil {
		return fmt.Errorf("node %s is not ready: %w", a.cfg.Node.Name, *network)
	}
	return fmt.Errorf("node %s is not ready: %s", a.cfg.Node.Name, problem)
}

// stop ends the agent, at most until ctx is done. Containers go on.
func (a *nodeAgent) stop(ctx context.Context) error {
	var err error
	if a.parts != nil {
		err = a.parts.stop(ctx)
	}
	if a.listener != nil {
		a.listener.Close() // unless its server did
	}
	if a.objects != nil {
		a.objects.Close()
	}
	if a.broadcaster != nil {
		a.broadcaster.Shutdown()
	}
	if a.runtime != nil {
		err = errors.Join(err, a.runtime.Close())
	}
	if a.containerd != nil {
		err = errors.Join(err, a.containerd.Stop())
	}
	return err
}
