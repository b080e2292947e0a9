// Package apiaccess lets the pods of a machine reach the API server at the
// address of Service default/kubernetes, which is what every client in a pod
// expects. It translates that one address in the kernel, so nothing of it
// depends on the agent once it is set up, and the API server may go on
// listening on loopback alone.
//
// It leaves all other services to whoever proxies services: it is no kube-proxy.
package apiaccess

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Config says what is to be reached. Service and Server are required, and IPv4.
type Config struct {
	Service netip.AddrPort // what pods connect to
	Server  netip.AddrPort // where the API server listens
	// Bridge is that of the pod network. Empty means that pods come in by any
	// interface; then a server that listens on loopback serves only pods with
	// the host's network.
	Bridge string
	// Name tells agents of one machine apart: at most 16 letters, digits and
	// dashes.
	Name string
}

// chain names one chain of rules. iptables allows 28 characters.
func (c Config) chain(kind string) string { return "GARRISON-" + kind + "-" + c.Name }

// Ensure makes pods reach the API server. It may be repeated, and repairs what
// others changed.
func Ensure(ctx context.Context, c Config) error {
	if !c.Service.Addr().Is4() || !c.Server.Addr().Is4() {
		return fmt.Errorf("give pods access to the API server: %v at %v: both must be IPv4", c.Service, c.Server)
	}
	if c.Bridge != "" && c.Server.Addr().IsLoopback() {
		if err := letBridgeReachLoopback(ctx, c.Bridge); err != nil {
			return fmt.Errorf("give pods access to the API server: %w", err)
		}
	}
	if err := restore(ctx, c.rules()); err != nil {
		return fmt.Errorf("give pods access to the API server: %w", err)
	}
	for _, hook := range c.hooks() {
		if iptables(ctx, hook.args("-C")...) == nil {
			continue
		}
		if err := iptables(ctx, hook.args("-I")...); err != nil {
			return fmt.Errorf("give pods access to the API server: %w", err)
		}
	}
	return nil
}

// Remove takes back what Ensure did, but the bridge. What is not there is passed
// over.
func Remove(ctx context.Context, c Config) error {
	for _, hook := range c.hooks() {
		for iptables(ctx, hook.args("-C")...) == nil {
			if err := iptables(ctx, hook.args("-D")...); err != nil {
				return fmt.Errorf("take back access to the API server: %w", err)
			}
		}
	}
	for table, chain := range map[string]string{"nat": c.chain("API"), "filter": c.chain("LO")} {
		if iptables(ctx, "-t", table, "-n", "-L", chain) != nil {
			continue
		}
		for _, verb := range []string{"-F", "-X"} {
			if err := iptables(ctx, "-t", table, verb, chain); err != nil {
				return fmt.Errorf("take back access to the API server: %w", err)
			}
		}
	}
	return nil
}

// rules are both chains with what is in them, as iptables-restore reads them.
// Packets for loopback that were not translated stay as impossible for pods as
// they would be had the bridge not been let through.
func (c Config) rules() string {
	var b strings.Builder
	nat, filter := c.chain("API"), c.chain("LO")
	fmt.Fprintf(&b, "*nat\n:%s - [0:0]\n-A %s -d %s/32 -p tcp --dport %d -j DNAT --to-destination %s\nCOMMIT\n",
		nat, nat, c.Service.Addr(), c.Service.Port(), c.Server)
	fmt.Fprintf(&b, "*filter\n:%s - [0:0]\n-A %s -d 127.0.0.0/8 -m conntrack ! --ctstate DNAT,RELATED,ESTABLISHED -j DROP\nCOMMIT\n", filter, filter)
	return b.String()
}

// hook is a jump from a chain of the kernel to one of ours.
type hook struct{ table, from, in, to string }

func (c Config) hooks() []hook {
	hooks := []hook{
		{"nat", "PREROUTING", c.Bridge, c.chain("API")},
		{"nat", "OUTPUT", "", c.chain("API")},
	}
	if c.Bridge != "" {
		hooks = append(hooks, hook{"filter", "INPUT", c.Bridge, c.chain("LO")})
	}
	return hooks
}

func (h hook) args(verb string) []string {
	args := []string{"-t", h.table, verb, h.from}
	if h.in != "" {
		args = append(args, "-i", h.in)
	}
	return append(args, "-j", h.to)
}

// letBridgeReachLoopback makes the kernel take packets from the bridge that were
// translated to an address of loopback. The bridge is made if it is not there:
// the CNI plugin would, with the first pod.
func letBridgeReachLoopback(ctx context.Context, bridge string) error {
	setting := filepath.Join("/proc/sys/net/ipv4/conf", bridge, "route_localnet")
	if _, err := os.Stat(setting); os.IsNotExist(err) {
		if err := run(ctx, "", "ip", "link", "add", bridge, "type", "bridge"); err != nil {
			return err
		}
	}
	return os.WriteFile(setting, []byte("1\n"), 0o644)
}

func iptables(ctx context.Context, args ...string) error {
	return run(ctx, "", "iptables", append([]string{"-w", "5"}, args...)...)
}

// restore replaces the chains that rules name, each whole, and no other.
func restore(ctx context.Context, rules string) error {
	return run(ctx, rules, "iptables-restore", "-w", "5", "--noflush")
}

func run(ctx context.Context, input, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, program(name), args...)
	cmd.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// program finds a program also where root's PATH would have it.
func program(name string) string {
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return found
		}
	}
	return name
}
