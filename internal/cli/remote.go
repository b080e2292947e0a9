package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/garrison-project/garrison/internal/cluster"
)

// remote is a command that runs one part of a control plane on the API server of
// another process.
type remote struct {
	name  string // of the command, and of the Lease behind "garrison-"
	part  string
	flags remoteFlags
}

// remoteFlags are the flags of such a command.
type remoteFlags struct {
	kubeconfig string
	context    string
	qps        float32
	burst      int
	elect      bool
	election   cluster.Election
	verbosity  int
}

func (r *remote) addFlags(cmd *cobra.Command) {
	f, flags := &r.flags, cmd.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the API server (default $KUBECONFIG, else what a pod is given, else "+adminKubeconfig+" in the data directory)")
	flags.StringVar(&f.context, "context", "", "context of the kubeconfig to use (default its current one)")
	flags.Float32Var(&f.qps, "kube-api-qps", 500, "requests per second to the API server, on average; negative for no limit")
	flags.IntVar(&f.burst, "kube-api-burst", 1000, "requests to the API server that may be made at once")
	flags.BoolVar(&f.elect, "leader-elect", true, "work only while holding a lease, so that others can stand by")
	flags.DurationVar(&f.election.LeaseDuration, "leader-elect-lease-duration", cluster.DefaultLeaseDuration, "how long others wait after the leader's last sign of life")
	flags.DurationVar(&f.election.RenewDeadline, "leader-elect-renew-deadline", cluster.DefaultRenewDeadline, "how long the leader tries to renew the lease before it gives up")
	flags.DurationVar(&f.election.RetryPeriod, "leader-elect-retry-period", cluster.DefaultRetryPeriod, "pause between two tries to get or renew the lease")
	flags.StringVar(&f.election.Name, "leader-elect-resource-name", "garrison-"+r.name, "name of the lease")
	flags.StringVar(&f.election.Namespace, "leader-elect-resource-namespace", "kube-system", "namespace of the lease")
	flags.IntVarP(&f.verbosity, "v", "v", 0, "log level: 0 warnings and errors only, 1 what happens, up to 10")
}

// run works until a signal ends it, or the lease is lost.
func (r *remote) run(in *invocation) error {
	f := &r.flags
	if err := f.check(); err != nil {
		return err
	}
	api, err := r.reach(in.dataDir)
	if err != nil {
		return err
	}
	cfg := cluster.RemoteConfig{Part: r.part, API: api}
	if f.elect {
		if f.election.Identity, err = cluster.NewIdentity(); err != nil {
			return err
		}
		cfg.Election = &f.election
	}
	if err := setUpLogging(f.verbosity); err != nil {
		return err
	}
	// One broken event must not end the work: it is logged and passed over.
	utilruntime.ReallyCrash = false
	ctx, stop := untilSignal(context.Background())
	defer stop()
	hushAfter(ctx)
	return cluster.RunRemote(ctx, cfg, func() {
		fmt.Fprintf(in.streams.Out, "garrison %s works on %s\n", r.name, api.Host)
	})
}

// check finds what is wrong with the flags.
func (f *remoteFlags) check() error {
	switch e := f.election; {
	case f.burst < 1:
		return usagef("--kube-api-burst must be positive")
	case f.qps == 0:
		return usagef("--kube-api-qps must not be zero; negative means no limit")
	case f.verbosity < 0:
		return usagef("-v must not be negative")
	case !f.elect:
		return nil
	case e.RetryPeriod <= 0:
		return usagef("--leader-elect-retry-period must be positive")
	case e.RenewDeadline <= e.RetryPeriod*6/5: // the pauses vary by a fifth
		return usagef("--leader-elect-renew-deadline must be more than 1.2 times --leader-elect-retry-period")
	case e.LeaseDuration <= e.RenewDeadline:
		return usagef("--leader-elect-lease-duration must be more than --leader-elect-renew-deadline")
	case e.Name == "" || e.Namespace == "":
		return usagef("--leader-elect-resource-name and --leader-elect-resource-namespace must not be empty")
	}
	return nil
}

// reach reads how the API server is to be reached.
func (r *remote) reach(dataDir string) (*rest.Config, error) {
	f, hint := &r.flags, ""
	if f.kubeconfig == "" {
		hint = defaultKubeconfig(dataDir)
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	api, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules,
		&clientcmd.ConfigOverrides{CurrentContext: f.context}).ClientConfig()
	switch {
	case err != nil && hint != "":
		return nil, fmt.Errorf("find the API server: %s", hint)
	case err != nil:
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	api.QPS, api.Burst = f.qps, f.burst
	api.ContentType = runtime.ContentTypeProtobuf
	api.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return rest.AddUserAgent(api, "garrison-"+r.name), nil
}
