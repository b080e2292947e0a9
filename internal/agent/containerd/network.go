package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent/iptables"
)

// The forms that CNI's configuration has, as far as they are used here.
type (
	conflist struct {
		CNIVersion string `json:"cniVersion"`
		Name       string `json:"name"`
		Plugins    []any  `json:"plugins"`
	}
	bridgePlugin struct {
		Type         string `json:"type"`
		Bridge       string `json:"bridge"`
		IsGateway    bool   `json:"isGateway"`
		ForceAddress bool   `json:"forceAddress"`
		HairpinMode  bool   `json:"hairpinMode"`
		IPAM         ipam   `json:"ipam"`
	}
	ipam struct {
		Type    string          `json:"type"`
		DataDir string          `json:"dataDir"`
		Ranges  [][]subnetRange `json:"ranges"`
		Routes  []route         `json:"routes"`
	}
	subnetRange struct {
		Subnet netip.Prefix `json:"subnet"`
	}
	route struct {
		Destination netip.Prefix `json:"dst"`
	}
	portmapPlugin struct {
		Type         string          `json:"type"`
		Capabilities map[string]bool `json:"capabilities"`
		SNAT         bool            `json:"snat"`
	}
)

// podNetwork is the configuration of a bridge with the pods of this machine
// behind it. What the packet filter needs is not left to the plugins, which make
// rules for each pod, cannot repair them, and get stuck where they are gone.
func podNetwork(l layout, ranges []netip.Prefix) ([]byte, error) {
	addresses := ipam{Type: "host-local", DataDir: l.cniData}
	for _, r := range ranges {
		addresses.Ranges = append(addresses.Ranges, []subnetRange{{Subnet: r.Masked()}})
		everywhere := netip.IPv4Unspecified()
		if r.Addr().Is6() {
			everywhere = netip.IPv6Unspecified()
		}
		addresses.Routes = append(addresses.Routes, route{Destination: netip.PrefixFrom(everywhere, 0)})
	}
	return json.MarshalIndent(conflist{CNIVersion: "0.4.0", Name: l.network, Plugins: []any{
		bridgePlugin{Type: "bridge", Bridge: l.bridge, IsGateway: true, ForceAddress: true, HairpinMode: true, IPAM: addresses},
		portmapPlugin{Type: "portmap", Capabilities: map[string]bool{"portMappings": true}, SNAT: true},
	}}, "", "  ")
}

// chains are what the packet filter needs: pods may speak with everybody, and to
// those outside they do so under the address of the machine.
func (l layout) chains(r netip.Prefix) []iptables.Chain {
	multicast := "224.0.0.0/4"
	if r.Addr().Is6() {
		multicast = "ff00::/8"
	}
	pods := r.Masked().String()
	return []iptables.Chain{
		{
			Table: "nat", Name: "GARRISON-OUT-" + l.bridge,
			Rules: []string{"-d " + pods + " -j RETURN", "-d " + multicast + " -j RETURN", "-s " + pods + " -j MASQUERADE"},
			Hooks: []iptables.Hook{{From: "POSTROUTING"}},
		},
		// Docker, for one, has the kernel drop what no rule lets pass.
		{
			Table: "filter", Name: "GARRISON-FWD-" + l.bridge,
			Rules: []string{"-i " + l.bridge + " -j ACCEPT", "-o " + l.bridge + " -j ACCEPT"},
			Hooks: []iptables.Hook{{From: "FORWARD"}},
		},
	}
}

// tables are those of a family of addresses. The programs for both come together.
func (p Programs) tables(r netip.Prefix) iptables.Tables {
	if r.Addr().Is6() {
		return iptables.Tables{Program: filepath.Join(filepath.Dir(p.IPTables), "ip6tables")}
	}
	return iptables.Tables{Program: p.IPTables}
}

// Bridge is the name of the pod network's device. No other agent of this machine
// has it, so it serves to tell them apart.
func (c *Containerd) Bridge() string { return c.layout.bridge }

// conflistName is the file of our pod network's configuration.
const conflistName = "10-garrison.conflist"

// networkLimit bounds what is done to the packet filter.
const networkLimit = 30 * time.Second

// SetPodCIDRs prepares the machine for our pod network and gives it ranges of
// addresses, at most one of each family. Until then the runtime says that it has
// no network, unless it had one before. It may be repeated, and repairs what
// others have changed. A network that others made is theirs to prepare, and left
// untouched.
func (c *Containerd) SetPodCIDRs(ranges []netip.Prefix) error {
	if c.config.CNIConfDir != "" {
		return nil
	}
	if len(ranges) == 0 {
		return errors.New("the pod network has no range of addresses")
	}
	if err := rangesFree(ranges, c.layout.bridge); err != nil {
		return err
	}
	if err := enableForwarding(ranges); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), networkLimit)
	defer cancel()
	for _, r := range ranges {
		if err := c.programs.tables(r).Ensure(ctx, c.layout.chains(r)...); err != nil {
			return fmt.Errorf("let packets of pods pass: %w", err)
		}
	}
	content, err := podNetwork(c.layout, ranges)
	if err != nil {
		return fmt.Errorf("configure the pod network: %w", err)
	}
	if err := writeFile(filepath.Join(c.layout.cniConf, conflistName), content); err != nil {
		return fmt.Errorf("configure the pod network: %w", err)
	}
	return nil
}

// provideNetwork lets containerd take down pods that it began to make before there
// was a pod network: without any it refuses to. This one serves nothing else.
func (c *Containerd) provideNetwork(ctx context.Context, client runtimeapi.RuntimeServiceClient) error {
	if c.config.CNIConfDir != "" || networkReady(ctx, client) == nil {
		return nil
	}
	content, err := json.Marshal(conflist{CNIVersion: "0.4.0", Name: c.layout.network, Plugins: []any{map[string]string{"type": "loopback"}}})
	if err != nil {
		return fmt.Errorf("configure a network to remove pods: %w", err)
	}
	if err := writeFile(filepath.Join(c.layout.cniConf, conflistName), content); err != nil {
		return fmt.Errorf("configure a network to remove pods: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, networkLimit)
	defer cancel()
	return poll(ctx, func() error { return networkReady(ctx, client) })
}

// networkReady is nil if the runtime has a network.
func networkReady(ctx context.Context, client runtimeapi.RuntimeServiceClient) error {
	answer, err := client.Status(ctx, &runtimeapi.StatusRequest{})
	if err != nil {
		return fmt.Errorf("ask for the network: %w", err)
	}
	for _, condition := range answer.GetStatus().GetConditions() {
		if condition.GetType() == runtimeapi.NetworkReady && !condition.GetStatus() {
			return fmt.Errorf("the network is not ready: %s", condition.GetMessage())
		}
	}
	return nil
}

// removeNetwork takes back what SetPodCIDRs and the plugins did to the machine.
func (c *Containerd) removeNetwork(ctx context.Context) error {
	if c.config.CNIConfDir != "" {
		return nil
	}
	errs := []error{removeBridge(c.layout.bridge)}
	for _, family := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		everywhere := netip.PrefixFrom(family, 0)
		errs = append(errs, c.programs.tables(everywhere).Remove(ctx, c.layout.chains(everywhere)...))
	}
	return errors.Join(errs...)
}
