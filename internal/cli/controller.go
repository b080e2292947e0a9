package cli

import (
	"github.com/spf13/cobra"

	"github.com/garrison-project/garrison/internal/cluster"
)

func newControllerCommand(in *invocation) *cobra.Command {
	r := &remote{name: "controller", part: cluster.DaemonSetController}
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run the DaemonSet controller alone, on any Kubernetes API server",
		Long: `Run the DaemonSet controller alone, on any Kubernetes API server.

The cluster must have no other: start its kube-controller-manager, or 'garrison
server', with --controllers=*,-daemonset.

Start several, and one of them works while the others stand by. One line on
standard output tells when this one works. A leader that loses its lease exits
with 1; SIGTERM or ^C ends it within five seconds and frees the lease.`,
		Example: `  garrison controller --kubeconfig ~/.kube/config --context production`,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return r.run(in) },
	}
	r.addFlags(cmd)
	return cmd
}
