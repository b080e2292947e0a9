// Package cli is the command line of Garrison: it reads flags, makes one call
// and prints what came of it. It decides nothing about nodes or pods; the parts
// that do are put together in package cluster.
package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit codes of garrison's own commands. kubectl's are passed through as they are.
const (
	exitOK     = 0
	exitFailed = 1 // the command was understood and could not be carried out
	exitUsage  = 2 // the command line is wrong: nothing was tried
)

// Streams are the standard streams of one invocation.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// usageError is an error in what was typed, found after the flags were parsed.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef builds a usageError as fmt.Errorf builds an error.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// invocation is what the commands of one command line share.
type invocation struct {
	streams Streams
	// dataDir is the value of --data-dir.
	dataDir string
	// started says that flags and arguments were in order and a command began.
	started bool
}

// Main runs one command line, without the program's name in front, and returns
// the exit code.
func Main(args []string, streams Streams) int {
	in := &invocation{streams: streams}
	root := newRootCommand(in)
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(streams.Err, "error: %v\n", err)
	var usage usageError
	if !in.started || errors.As(err, &usage) {
		fmt.Fprintf(streams.Err, "See '%s --help' for usage.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailed
}

func newRootCommand(in *invocation) *cobra.Command {
	root := &cobra.Command{
		Use:   "garrison",
		Short: "Garrison keeps one pod on every node that should have one",
		Long: `Garrison is the DaemonSet of Kubernetes, complete, in one binary.

It serves the Kubernetes API on an embedded etcd, keeps exactly one copy of each
node agent on every node that should have one, and brings kubectl along.

Exit codes: 0 done, 1 failed, 2 wrong command line. 'garrison kubectl' exits as
kubectl does.`,
		Example: `  # Start a control plane with five simulated nodes
  garrison up --no-agent --simulate-nodes 5

  # In another terminal: see the nodes, and put an agent on each
  garrison kubectl get nodes
  garrison kubectl apply -f examples/all-nodes.yaml`,
		SilenceErrors: true,
		SilenceUsage:  true,
		// Lets --data-dir stand before kubectl, whose own flags are left alone.
		TraverseChildren:  true,
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { in.started = true; return nil },
	}
	root.SetIn(in.streams.In)
	root.SetOut(in.streams.Out)
	root.SetErr(in.streams.Err)
	root.PersistentFlags().StringVar(&in.dataDir, "data-dir", defaultDataDir(),
		"directory of the database, keys and admin kubeconfig; also $"+dataDirVariable)
	root.AddCommand(newUpCommand(in), newServerCommand(in), newAgentCommand(in), newControllerCommand(in), newSchedulerCommand(in), newKubectlCommand(in), newKubeconfigCommand(in), newResetCommand(in), newVersionCommand(in))
	return root
}
