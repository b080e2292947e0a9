package cli

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/garrison-project/garrison/internal/cluster"
	"github.com/garrison-project/garrison/internal/controller/nodeipam"
	"github.com/garrison-project/garrison/internal/server"
	"github.com/garrison-project/garrison/internal/store"
)

const (
	defaultPort = 6443
	// defaultGrace is how long a node may be silent, as Kubernetes has it.
	defaultGrace = 50 * time.Second
	// maxSimulatedNodes is what the simulator has addresses for.
	maxSimulatedNodes = 100_000
)

// upFlags are the flags that up and server share.
type upFlags struct {
	bindAddress   string
	port          int
	kubeconfigOut string
	etcdServers   []string
	etcdTLS       store.TLSFiles
	issuer        string
	simulateNodes int
	grace         time.Duration
	controllers   []string
	clusterCIDR   string
	noAgent       bool
	agent         agentFlags
	verbosity     int
}

func newUpCommand(in *invocation) *cobra.Command {
	flags := &upFlags{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start everything on this machine",
		Long: `Start the API server on an embedded etcd, the controllers, the scheduler and the
simulated nodes, make this machine a node, and keep all of it running.

To be a node takes root, containerd, runc, the CNI plugins and iptables; without
them there is --no-agent.

Once all is ready one line on standard output names the address and the admin's
kubeconfig. SIGTERM or ^C ends everything cleanly within five seconds; a second
one forces the end. What was stored is there again at the next start. Containers
go on meanwhile; 'garrison reset' ends them.`,
		Example: `  # On port 6443, with data in the default place
  garrison up

  # To try things out: any free port, five nodes without machines
  garrison up --no-agent --data-dir /tmp/trial --port 0 --simulate-nodes 5

  # On an etcd that runs elsewhere
  garrison up --etcd-servers https://10.0.0.1:2379,https://10.0.0.2:2379 \
    --etcd-cafile etcd-ca.pem --etcd-certfile etcd-client.pem --etcd-keyfile etcd-client.key`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return flags.run(in) },
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.noAgent, "no-agent", false, "do not make this machine a node")
	cmd.Flags().StringVar(&flags.agent.nodeName, "node-name", "", "name of this machine as a node (default its host name, in lower case)")
	cmd.Flags().StringVar(&flags.agent.address, "agent-address", "127.0.0.1", "IP address to serve logs, exec and metrics of this node on")
	flags.agent.add(cmd.Flags())
	return cmd
}

func newServerCommand(in *invocation) *cobra.Command {
	flags := &upFlags{noAgent: true}
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Start everything but an agent for this machine",
		Long:  `Start what 'garrison up' starts, without making this machine a node.`,
		Example: `  garrison server --data-dir /srv/garrison --bind-address 10.0.0.1

  # With the DaemonSet controller in a process of its own
  garrison server --controllers='*,-daemonset'
  garrison controller`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return flags.run(in) },
	}
	flags.add(cmd)
	return cmd
}

func (f *upFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.bindAddress, "bind-address", "127.0.0.1", "IP address to listen on")
	flags.IntVar(&f.port, "port", defaultPort, "port to listen on; 0 picks a free one")
	flags.StringVar(&f.kubeconfigOut, "kubeconfig-out", "", "file to write the admin's kubeconfig to (default "+adminKubeconfig+" in the data directory)")
	flags.StringSliceVar(&f.etcdServers, "etcd-servers", nil, "URLs of an etcd to use instead of the embedded one")
	flags.StringVar(&f.etcdTLS.CA, "etcd-cafile", "", "certificate authority of that etcd (default those that this machine trusts)")
	flags.StringVar(&f.etcdTLS.Cert, "etcd-certfile", "", "certificate to show to that etcd")
	flags.StringVar(&f.etcdTLS.Key, "etcd-keyfile", "", "key of the certificate to show to that etcd")
	flags.StringVar(&f.issuer, "service-account-issuer", server.DefaultServiceAccountIssuer, "URL that the tokens of service accounts name as their issuer")
	flags.IntVar(&f.simulateNodes, "simulate-nodes", 0, "number of nodes without machines to create")
	flags.StringVar(&f.clusterCIDR, "cluster-cidr", nodeipam.DefaultClusterCIDR.String(), "range of addresses of all pods, of which each node gets a part")
	flags.DurationVar(&f.grace, "node-monitor-grace-period", defaultGrace, "how long a node may be silent before it counts as unreachable")
	flags.StringSliceVar(&f.controllers, "controllers", []string{"*"}, "parts to run beside the API server: '*' for all, 'NAME' for one, '-NAME' for all but one; known are "+strings.Join(cluster.PartNames(), ", "))
	flags.IntVarP(&f.verbosity, "v", "v", 0, "log level: 0 warnings and errors only, 1 what happens, up to 10")
}

// run starts the control plane and returns when it has ended.
func (f *upFlags) run(in *invocation) error {
	cfg, err := f.config(in.dataDir)
	if err != nil {
		return err
	}
	if err := setUpLogging(f.verbosity); err != nil {
		return err
	}
	// One broken event must not take down the API: it is logged and passed over.
	utilruntime.ReallyCrash = false
	ctx, stop := untilSignal(context.Background())
	defer stop()
	hushDeparted()
	hushAfter(ctx)
	if os.Getenv("GOGC") == "" {
		tuneGarbage()
	}
	if os.Getenv("GOMAXPROCS") == "" && len(f.etcdServers) == 0 {
		spareProcessor()
	}
	return cluster.Run(ctx, cfg, func(c *cluster.Cluster) {
		fmt.Fprintf(in.streams.Out, "garrison is ready at %s, kubeconfig %s\n", c.URL(), c.Kubeconfig())
		trimLater()
	})
}

// checkEtcd finds what is wrong with the flags for an external etcd.
func (f *upFlags) checkEtcd() error {
	switch {
	case (f.etcdTLS.Cert == "") != (f.etcdTLS.Key == ""):
		return usagef("--etcd-certfile and --etcd-keyfile go together")
	case f.etcdTLS != (store.TLSFiles{}) && len(f.etcdServers) == 0:
		return usagef("--etcd-cafile, --etcd-certfile and --etcd-keyfile are for an etcd that --etcd-servers names")
	}
	for _, server := range f.etcdServers {
		if u, err := url.Parse(server); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return usagef("--etcd-servers: %q is not a URL such as http://127.0.0.1:2379", server)
		}
	}
	return nil
}

// config checks the flags.
func (f *upFlags) config(dataDir string) (cluster.Config, error) {
	var none cluster.Config
	switch {
	case f.port < 0 || f.port > 65535:
		return none, usagef("--port must be between 0 and 65535, not %d", f.port)
	case net.ParseIP(f.bindAddress) == nil:
		return none, usagef("--bind-address must be an IP address, not %q", f.bindAddress)
	case f.simulateNodes < 0:
		return none, usagef("--simulate-nodes must not be negative")
	case f.simulateNodes > maxSimulatedNodes:
		return none, usagef("--simulate-nodes must be at most %d", maxSimulatedNodes)
	case f.grace <= 0:
		return none, usagef("--node-monitor-grace-period must be positive")
	case f.verbosity < 0:
		return none, usagef("-v must not be negative")
	}
	if err := f.checkEtcd(); err != nil {
		return none, err
	}
	if u, err := url.Parse(f.issuer); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return none, usagef("--service-account-issuer: %q is not a URL such as %s", f.issuer, server.DefaultServiceAccountIssuer)
	}
	controllers, err := cluster.ParseSelection(f.controllers)
	if err != nil {
		return none, usagef("--controllers: %w", err)
	}
	pods, err := netip.ParsePrefix(f.clusterCIDR)
	if err != nil {
		return none, usagef("--cluster-cidr: %q is not a range of addresses such as %v", f.clusterCIDR, nodeipam.DefaultClusterCIDR)
	}
	if err := nodeipam.CheckClusterCIDR(pods); err != nil {
		return none, usagef("--cluster-cidr: %w", err)
	}
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return none, fmt.Errorf("find the data directory: %w", err)
	}
	machine, err := f.agentConfig(dir)
	if err != nil {
		return none, err
	}
	return cluster.Config{
		DataDir:                dir,
		BindAddress:            f.bindAddress,
		Port:                   f.port,
		KubeconfigOut:          f.kubeconfigOut,
		EtcdServers:            f.etcdServers,
		EtcdTLS:                f.etcdTLS,
		ServiceAccountIssuer:   f.issuer,
		SimulateNodes:          f.simulateNodes,
		NodeMonitorGracePeriod: f.grace,
		ClusterCIDR:            pods,
		Controllers:            controllers,
		Agent:                  machine,
	}, nil
}

// agentConfig says how this machine is a node, nil if it is none. A machine that
// cannot be one is refused before anything starts.
func (f *upFlags) agentConfig(dir string) (*cluster.AgentConfig, error) {
	if f.noAgent {
		return nil, nil
	}
	cfg, err := f.agent.config(dir)
	if err != nil {
		return nil, err
	}
	// Who is given up soon has to be heard of often.
	cfg.Node.LeaseDuration = min(cfg.Node.LeaseDuration, f.grace.Truncate(time.Second))
	if err := cfg.CheckMachine(); err != nil {
		return nil, fmt.Errorf("make this machine a node: %w; to start without it: --no-agent", err)
	}
	return &cfg, nil
}

// untilSignal returns a context that is done at the first SIGTERM or SIGINT. The
// second one ends the process there and then.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
		number := <-signals
		os.Exit(128 + int(number.(syscall.Signal)))
	}()
	return ctx, cancel
}
