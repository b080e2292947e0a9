package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/garrison-project/garrison/internal/cluster"
)

// resetCommand holds the flags of 'garrison reset'.
type resetCommand struct {
	yes        bool
	podLogsDir string
	containerd string
	endpoint   string
	cniConfDir string
	cniBinDir  string
}

func newResetCommand(in *invocation) *cobra.Command {
	c := &resetCommand{}
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "End all containers on this machine, and remove what was set up for them",
		Long: `End all containers that 'garrison up' or 'garrison agent' has left in the data
directory of this machine, and remove what was set up for them: their mounts,
network, control groups, logs and images.

Database and keys stay, so a control plane goes on with its objects; and so do
the node and its pods at the API server: 'garrison kubectl delete node' removes
them. The agent must not be running.`,
		Example: `  garrison reset

  # In a script, for an agent with a data directory of its own
  garrison reset --yes --data-dir /srv/gpu-1`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.run(in) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&c.yes, "yes", false, "do not ask")
	flags.StringVar(&c.podLogsDir, "pod-logs-dir", defaultPodLogs, "folder for the output of containers, as the agent was told")
	flags.StringVar(&c.containerd, "containerd", "", "containerd to start, as the agent was told")
	flags.StringVar(&c.endpoint, "container-runtime-endpoint", "", "socket of the runtime of others, if the agent was told one; its images stay")
	flags.StringVar(&c.cniConfDir, "cni-conf-dir", "", "folder with the configuration of a pod network made by others, if the agent was told one")
	flags.StringVar(&c.cniBinDir, "cni-bin-dir", "", "folder with the CNI plugins, as the agent was told")
	return cmd
}

func (c *resetCommand) run(in *invocation) error {
	dir, err := filepath.Abs(in.dataDir)
	if err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	if !c.yes {
		if agreed, err := c.ask(in, dir); err != nil || !agreed {
			return err
		}
	}
	if err := setUpLogging(0); err != nil {
		return err
	}
	ctx, stop := untilSignal(context.Background())
	defer stop()
	err = cluster.ResetNode(ctx, cluster.AgentConfig{
		Dir: filepath.Join(dir, agentFolder), PodLogs: c.podLogsDir, ContainerdPath: c.containerd, RuntimeEndpoint: c.endpoint,
		CNIConfDir: c.cniConfDir, CNIBinDir: c.cniBinDir,
	})
	if errors.Is(err, cluster.ErrNothingToReset) {
		fmt.Fprintln(in.streams.Out, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reset the node of %s: %w", dir, err)
	}
	fmt.Fprintf(in.streams.Out, "no container of %s is left\n", dir)
	return nil
}

// ask has a person confirm. Nobody is there to answer unless it is a terminal.
func (c *resetCommand) ask(in *invocation, dir string) (bool, error) {
	file, isFile := in.streams.In.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return false, usagef("this ends all containers of %s: confirm with --yes", dir)
	}
	fmt.Fprintf(in.streams.Out, "This ends all containers of %s and removes their images and logs. Go on? [y/N] ", dir)
	answer, err := bufio.NewReader(file).ReadString('\n')
	if err != nil {
		return false, nil // no answer is no
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}
