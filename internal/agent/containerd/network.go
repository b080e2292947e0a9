package containerd

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
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
		IPMasq       bool   `json:"ipMasq"`
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
	firewallPlugin struct {
		Type    string `json:"type"`
		Backend string `json:"backend"`
	}
)

// podNetwork is the configuration of a bridge with the pods of this machine
// behind it. firewall adds rules that let their packets be forwarded.
func podNetwork(l layout, ranges []netip.Prefix, firewall bool) ([]byte, error) {
	addresses := ipam{Type: "host-local", DataDir: l.cniData}
	for _, r := range ranges {
		addresses.Ranges = append(addresses.Ranges, []subnetRange{{Subnet: r.Masked()}})
		everywhere := netip.IPv4Unspecified()
		if r.Addr().Is6() {
			everywhere = netip.IPv6Unspecified()
		}
		addresses.Routes = append(addresses.Routes, route{Destination: netip.PrefixFrom(everywhere, 0)})
	}
	network := conflist{CNIVersion: "0.4.0", Name: l.network, Plugins: []any{
		bridgePlugin{
			Type: "bridge", Bridge: l.bridge, IsGateway: true, ForceAddress: true, IPMasq: true, HairpinMode: true,
			IPAM: addresses,
		},
		portmapPlugin{Type: "portmap", Capabilities: map[string]bool{"portMappings": true}, SNAT: true},
	}}
	if firewall {
		network.Plugins = append(network.Plugins, firewallPlugin{Type: "firewall", Backend: "iptables"})
	}
	return json.MarshalIndent(network, "", "  ")
}

// Bridge is the name of the pod network's device. No other agent of this machine
// has it, so it serves to tell them apart.
func (c *Containerd) Bridge() string { return c.layout.bridge }

// SetPodCIDRs prepares the machine for our pod network and gives it ranges of
// addresses, at most one of each family. Until then the runtime says that it has
// no network, unless it had one before. A network that others made is theirs to
// prepare, and left untouched.
func (c *Containerd) SetPodCIDRs(ranges []netip.Prefix) error {
	if c.config.CNIConfDir != "" {
		return nil
	}
	if len(ranges) == 0 {
		return errors.New("the pod network has no range of addresses")
	}
	if err := enableForwarding(ranges); err != nil {
		return err
	}
	dropped, err := forwardingDropped(c.programs.IPTables)
	if err != nil {
		return err
	}
	content, err := podNetwork(c.layout, ranges, dropped)
	if err != nil {
		return fmt.Errorf("configure the pod network: %w", err)
	}
	if err := writeFile(filepath.Join(c.layout.cniConf, "10-garrison.conflist"), content); err != nil {
		return fmt.Errorf("configure the pod network: %w", err)
	}
	return nil
}
