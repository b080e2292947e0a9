package cli

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/garrison-project/garrison/internal/cluster"
)

// The rate of an agent's requests to the API server, as kubelets have it.
const (
	agentQPS   = 50
	agentBurst = 100
)

// agentCommand holds the flags of 'garrison agent'.
type agentCommand struct {
	agentFlags
	remoteFlags
}

func newAgentCommand(in *invocation) *cobra.Command {
	c := &agentCommand{}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Make this machine a node of a cluster that runs elsewhere",
		Long: `Make this machine a node of a cluster that runs elsewhere: register it, and run
the pods that are bound to it in containers.

It needs root, containerd, runc, the CNI plugins and iptables, and a kubeconfig of
a node, which 'garrison kubeconfig node' makes. One line on standard output tells
when pods can run. SIGTERM or ^C ends the agent within five seconds; containers go
on, and the next agent with the same data directory takes them over. To end them
too, and remove what was set up for them, there is 'garrison reset'.

Archives of images that lie in the folder images of the data directory are
imported, so that no registry is needed for them; pods whose manifests lie in the
folder manifests run as static pods.`,
		Example: `  # With the file that the server's 'garrison kubeconfig node worker-1' has made
  garrison agent --kubeconfig worker-1.kubeconfig

  # With labels, a taint and a device, beside an agent that has port 10250
  garrison agent --kubeconfig gpu-1.kubeconfig --node-labels disk=nvme \
    --register-with-taints reserved=ml:NoSchedule --extended-resources example.com/gpu=2 \
    --data-dir /srv/gpu-1 --agent-port 0`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.run(in) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig of the node; required")
	flags.StringVar(&c.context, "context", "", "context of the kubeconfig to use (default its current one)")
	flags.StringVar(&c.nodeName, "node-name", "", "name of the node (default the one that the kubeconfig is for)")
	flags.StringVar(&c.agentFlags.address, "agent-address", "", "IP address to serve logs, exec and metrics on (default that of the node)")
	flags.IntVarP(&c.verbosity, "v", "v", 0, "log level: 0 warnings and errors only, 1 what happens, up to 10")
	c.agentFlags.add(flags)
	return cmd
}

// run works until a signal ends it.
func (c *agentCommand) run(in *invocation) error {
	switch {
	case c.kubeconfig == "":
		return usagef("--kubeconfig is required")
	case c.verbosity < 0:
		return usagef("-v must not be negative")
	}
	cfg, err := c.config(in.dataDir)
	if err != nil {
		return err
	}
	c.qps, c.burst = agentQPS, agentBurst
	api, err := (&remote{name: "agent", flags: c.remoteFlags}).reach(in.dataDir)
	if err != nil {
		return err
	}
	if err := setUpLogging(c.verbosity); err != nil {
		return err
	}
	// One broken event must not end all pods' care: it is logged and passed over.
	utilruntime.ReallyCrash = false
	ctx, stop := untilSignal(context.Background())
	defer stop()
	hushAfter(ctx)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(agentGarbage)
	}
	return cluster.RunAgent(ctx, cfg, api, func(node, address string) {
		fmt.Fprintf(in.streams.Out, "garrison agent is ready: node %s at %s\n", node, address)
		go keepTrim(ctx)
	})
}
