package machine

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// Interface is what went over a network interface since the machine's start.
type Interface struct {
	Name                                 string
	RxBytes, RxErrors, TxBytes, TxErrors uint64
}

// Network is what went over the network of the machine.
type Network struct {
	// Default is the interface of the default route, "" if there is none.
	Default string
	// Interfaces are sorted by name. The loopback, and those that lead to
	// containers, are left out.
	Interfaces []Interface
}

// Network reads what went over the network.
func (m *Machine) Network() (Network, error) {
	proc, err := procfs.NewFS(m.path("proc"))
	if err != nil {
		return Network{}, fmt.Errorf("read the machine's network: %w", err)
	}
	lines, err := proc.NetDev()
	if err != nil {
		return Network{}, fmt.Errorf("read the machine's network: %w", err)
	}
	var network Network
	for name, line := range lines {
		if name != "lo" && !strings.HasPrefix(name, "veth") && !strings.HasPrefix(name, "docker") {
			network.Interfaces = append(network.Interfaces, Interface{name, line.RxBytes, line.RxErrors, line.TxBytes, line.TxErrors})
		}
	}
	slices.SortFunc(network.Interfaces, func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
	network.Default, err = m.defaultInterface()
	return network, err
}

// defaultInterface is that of the default route with the least metric.
func (m *Machine) defaultInterface() (string, error) {
	text, err := os.ReadFile(m.path("proc/net/route"))
	if err != nil {
		return "", fmt.Errorf("read the machine's routes: %w", err)
	}
	name, least := "", uint64(0)
	for line := range strings.Lines(string(text)) {
		// Such as eth0 00000000 0114A8C0 0003 0 0 100 00000000 0 0 0.
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[1] != "00000000" || fields[7] != "00000000" {
			continue
		}
		metric, err := strconv.ParseUint(fields[6], 10, 32)
		if err == nil && (name == "" || metric < least) {
			name, least = fields[0], metric
		}
	}
	return name, nil
}
