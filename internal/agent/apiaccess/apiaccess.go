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

	"github.com/garrison-project/garrison/internal/agent/iptables"
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
	if err := tables().Ensure(ctx, c.chains()...); err != nil {
		return fmt.Errorf("give pods access to the API server: %w", err)
	}
	return nil
}

// Remove takes back what Ensure did, with this bridge or without any, but the bridge.
// What is not there is passed over.
func Remove(ctx context.Context, c Config) error {
	chains := c.chains()
	chains[0].Hooks = append(chains[0].Hooks, iptables.Hook{From: "PREROUTING"})
	if err := tables().Remove(ctx, chains...); err != nil {
		return fmt.Errorf("take back access to the API server: %w", err)
	}
	return nil
}

func tables() iptables.Tables { return iptables.Tables{Program: program("iptables")} }

// chains translate the address, and drop packets for loopback that were not
// translated: they stay as impossible for pods as they would be had the bridge
// not been let through.
func (c Config) chains() []iptables.Chain {
	translate := iptables.Chain{
		Table: "nat", Name: "GARRISON-API-" + c.Name,
		Rules: []string{fmt.Sprintf("-d %s/32 -p tcp --dport %d -j DNAT --to-destination %s", c.Service.Addr(), c.Service.Port(), c.Server)},
		Hooks: []iptables.Hook{{From: "PREROUTING", In: c.Bridge}, {From: "OUTPUT"}},
	}
	if c.Bridge == "" {
		return []iptables.Chain{translate}
	}
	return []iptables.Chain{translate, {
		Table: "filter", Name: "GARRISON-LO-" + c.Name,
		Rules: []string{"-d 127.0.0.0/8 -m conntrack ! --ctstate DNAT,RELATED,ESTABLISHED -j DROP"},
		Hooks: []iptables.Hook{{From: "INPUT", In: c.Bridge}},
	}}
}

// letBridgeReachLoopback makes the kernel take packets from the bridge that were
// translated to an address of loopback. The bridge is made if it is not there:
// the CNI plugin would, with the first pod.
func letBridgeReachLoopback(ctx context.Context, bridge string) error {
	setting := filepath.Join("/proc/sys/net/ipv4/conf", bridge, "route_localnet")
	if _, err := os.Stat(setting); os.IsNotExist(err) {
		args := []string{"link", "add", bridge, "type", "bridge"}
		if out, err := exec.CommandContext(ctx, program("ip"), args...).CombinedOutput(); err != nil {
			return fmt.Errorf("make the bridge %s: %w: %s", bridge, err, bytes.TrimSpace(out))
		}
	}
	return os.WriteFile(setting, []byte("1\n"), 0o644)
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
