package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	basecli "k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

func newKubectlCommand(in *invocation) *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl [kubectl's arguments]",
		Short: "Run the kubectl that is built in",
		Long: `Run the kubectl that is built in, with all its commands and flags.

It talks to the control plane of the data directory, unless --kubeconfig or
$KUBECONFIG names another or the command runs inside a pod.`,
		Example: `  garrison kubectl get daemonsets -A
  garrison kubectl --data-dir /srv/garrison get nodes
  garrison kubectl rollout status daemonset/log-collector`,
		// Every flag but a leading --data-dir is kubectl's.
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			args, err := in.takeDataDir(args)
			if err != nil {
				return err
			}
			return runKubectl(in, args)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
			args, err := in.takeDataDir(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return completeKubectl(in, append(args, toComplete))
		},
	}
}

// takeDataDir reads a --data-dir that leads kubectl's arguments, the only one of
// garrison's flags with a meaning there, and returns the rest.
func (in *invocation) takeDataDir(args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	if dir, found := strings.CutPrefix(args[0], "--data-dir="); found {
		in.dataDir = dir
		return args[1:], nil
	}
	if args[0] != "--data-dir" {
		return args, nil
	}
	if len(args) == 1 {
		return nil, usagef("flag needs an argument: --data-dir")
	}
	in.dataDir = args[1]
	return args[2:], nil
}

// runKubectl runs kubectl as a program of its own would, so that its output, its
// plugins and its exit codes are what users and scripts know. It ends the
// process where kubectl fails.
func runKubectl(in *invocation, args []string) error {
	hint := defaultKubeconfig(in.dataDir)
	cmdutil.BehaviorOnFatal(func(message string, code int) {
		printFatal(in.streams.Err, message, hint)
		os.Exit(code)
	})
	if _, err := logs.GlogSetter(kubectl.GetLogVerbosity(args)); err != nil {
		return usagef("-v: %w", err)
	}
	cmdutil.CheckErr(basecli.RunNoErrOutput(newKubectl(in.streams, args)))
	return nil
}

// newKubectl returns kubectl's own command line for one invocation.
func newKubectl(streams Streams, args []string) *cobra.Command {
	command := kubectl.NewDefaultKubectlCommandWithArgs(kubectl.KubectlOptions{
		PluginHandler: kubectl.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     append([]string{"kubectl"}, args...),
		IOStreams:     genericiooptions.IOStreams{In: streams.In, Out: streams.Out, ErrOut: streams.Err},
	})
	command.SetArgs(args)
	return command
}

// completeKubectl asks kubectl how a command line may go on. The last argument
// is the word to complete.
func completeKubectl(in *invocation, args []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	defaultKubeconfig(in.dataDir)
	var out bytes.Buffer
	command := newKubectl(Streams{In: in.streams.In, Out: &out, Err: io.Discard}, append([]string{cobra.ShellCompRequestCmd}, args...))
	command.SetOut(&out)
	command.SetErr(io.Discard)
	if err := command.Execute(); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	// A line for each completion, then a colon and the directive.
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	last := len(lines) - 1
	directive, err := strconv.Atoi(strings.TrimPrefix(lines[last], ":"))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return lines[:last], cobra.ShellCompDirective(directive)
}

// defaultKubeconfig points kubectl at the data directory where nothing else says
// which cluster is meant. The result is a hint for who finds no server there,
// empty when there is nothing to say.
func defaultKubeconfig(dataDir string) string {
	if os.Getenv("KUBECONFIG") != "" || os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return ""
	}
	path := filepath.Join(dataDir, adminKubeconfig)
	// Set even where the file is missing: falling back to the user's own
	// kubeconfig could send a command to a cluster that was not meant.
	if err := os.Setenv("KUBECONFIG", path); err != nil {
		return fmt.Sprintf("cannot set KUBECONFIG: %v", err)
	}
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("%s does not exist: start a control plane with 'garrison up', or name one with --kubeconfig or --data-dir", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("%s is not readable by this user: name another kubeconfig with --kubeconfig", path)
	}
	return ""
}

// noServer is the address that kubectl tries when its configuration names none.
const noServer = "localhost:8080"

// printFatal prints kubectl's last words, and the hint where they say that there
// is no server to talk to.
func printFatal(w io.Writer, message, hint string) {
	if message != "" {
		fmt.Fprintln(w, strings.TrimSuffix(message, "\n"))
	}
	if hint != "" && strings.Contains(message, noServer) {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}
