package cli

import (
	"github.com/spf13/cobra"

	"github.com/garrison-project/garrison/internal/cluster"
)

func newSchedulerCommand(in *invocation) *cobra.Command {
	r := &remote{name: "scheduler", part: cluster.Scheduler}
	cmd := &cobra.Command{
		Use:   "scheduler",
		Short: "Run the scheduler alone, on any Kubernetes API server",
		Long: `Run the scheduler alone, on any Kubernetes API server.

It binds the pods whose schedulerName is default-scheduler, so the cluster must
have no other scheduler of that name: start 'garrison server' with
--controllers=*,-scheduler.

Start several, and one of them works while the others stand by. One line on
standard output tells when this one works. A leader that loses its lease exits
with 1; SIGTERM or ^C ends it within five seconds and frees the lease.`,
		Example: `  garrison scheduler --kubeconfig ~/.kube/config --context production`,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return r.run(in) },
	}
	r.addFlags(cmd)
	return cmd
}
