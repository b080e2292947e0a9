package cli

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/validation"

	"github.com/garrison-project/garrison/internal/server"
	"github.com/garrison-project/garrison/internal/server/pki"
)

func newKubeconfigCommand(in *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Make a kubeconfig for someone else",
		Long: `Make a kubeconfig with a certificate that the cluster's authority signs.

The administrator's kubeconfig is made by 'garrison up' itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNodeKubeconfigCommand(in))
	return cmd
}

// nodeKubeconfig holds the flags of 'garrison kubeconfig node'.
type nodeKubeconfig struct {
	server string
	ips    []net.IP
	output string
}

func newNodeKubeconfigCommand(in *invocation) *cobra.Command {
	f := &nodeKubeconfig{}
	cmd := &cobra.Command{
		Use:   "node NAME",
		Short: "Make the kubeconfig with which another machine joins as a node",
		Long: `Make the kubeconfig with which 'garrison agent' on another machine joins as the
node NAME. It holds a certificate of the user system:node:NAME, who may change
that node and its pods alone; the agent also serves with it. It is good for a
year, and whoever has it is that node: hand it over as you would a password.

The certificate is signed with the authority in the data directory of the server,
so this runs on the server's machine. The server need not be running.`,
		Example: `  # On the server's machine; it listens on 10.0.0.1
  garrison kubeconfig node worker-1 --server https://10.0.0.1:6443 --node-ip 10.0.0.2 -o worker-1.kubeconfig

  # On the other machine, with the file copied there
  garrison agent --kubeconfig worker-1.kubeconfig`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return f.run(in, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.server, "server", "", "URL at which the machine reaches the server (default what "+adminKubeconfig+" in the data directory says)")
	flags.IPSliceVar(&f.ips, "node-ip", nil, "IP address of the machine, if it is to be reached by that too; may be repeated")
	flags.StringVarP(&f.output, "output", "o", "", "file to write, readable by you alone (default standard output)")
	return cmd
}

func (f *nodeKubeconfig) run(in *invocation, name string) error {
	if problems := validation.NameIsDNSSubdomain(name, false); len(problems) > 0 {
		return usagef("%q cannot be the name of a node: %s", name, strings.Join(problems, "; "))
	}
	address, err := f.address(in)
	if err != nil {
		return err
	}
	data, err := server.NodeAccess{DataDir: in.dataDir, URL: address.String(), Name: name, IPs: f.ips}.Kubeconfig(time.Now())
	if errors.Is(err, server.ErrNoAuthority) {
		return fmt.Errorf("%w: start 'garrison up' once, or name its data directory with --data-dir", err)
	}
	if err != nil {
		return err
	}
	if f.server == "" && leadsHome(address) {
		fmt.Fprintf(in.streams.Err, "warning: %s leads only to this machine: for another, name the server's address with --server\n", address)
	}
	if f.output == "" {
		_, err = in.streams.Out.Write(data)
	} else {
		err = pki.WriteFile(f.output, data)
	}
	if err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}

// address finds out where the server is reached.
func (f *nodeKubeconfig) address(in *invocation) (*url.URL, error) {
	if f.server != "" {
		u, err := url.Parse(f.server)
		if err != nil || u.Host == "" || u.Scheme != "https" {
			return nil, usagef("--server: %q is not a URL such as https://10.0.0.1:6443", f.server)
		}
		return u, nil
	}
	known, err := server.KnownURL(filepath.Join(in.dataDir, adminKubeconfig))
	if err != nil {
		return nil, fmt.Errorf("find the server's address (--server names it): %w", err)
	}
	return url.Parse(known)
}

// leadsHome tells whether u means this machine to every machine that reads it.
func leadsHome(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
