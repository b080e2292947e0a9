package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/utils/cpuset"
)

// Machine reads one machine.
type Machine struct{ root string }

// Open returns the machine whose files lie below root, which is "/" but in tests.
func Open(root string) *Machine { return &Machine{root} }

// Facts are what stays as it is until the machine is booted anew. What a machine
// does not tell is left empty.
type Facts struct {
	Cores     int   // logical ones that are online
	Memory    int64 // bytes
	Swap      int64 // bytes
	Hugepages []Hugepages
	// BootID is another one after each boot.
	BootID                string
	MachineID, SystemUUID string
	KernelVersion         string
	OSImage               string // such as Debian GNU/Linux 12 (bookworm)
	// OperatingSystem and Architecture are as Go names them.
	OperatingSystem, Architecture string
}

// Hugepages are the pages of one size that were set aside.
type Hugepages struct{ PageSize, Total int64 } // bytes

// Facts reads what the machine has.
func (m *Machine) Facts() (Facts, error) {
	facts := Facts{OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH}
	memory, err := m.meminfo()
	if err != nil {
		return Facts{}, err
	}
	facts.Memory, facts.Swap = bytesOf(memory.MemTotalBytes), bytesOf(memory.SwapTotalBytes)
	if facts.Cores, err = m.cores(); err != nil {
		return Facts{}, err
	}
	if facts.Hugepages, err = m.hugepages(); err != nil {
		return Facts{}, err
	}
	if facts.BootID, err = m.line("proc/sys/kernel/random/boot_id"); err != nil {
		return Facts{}, err
	}
	facts.KernelVersion, err = m.line("proc/sys/kernel/osrelease")
	facts.MachineID = m.first("etc/machine-id", "var/lib/dbus/machine-id")
	facts.SystemUUID = strings.ToLower(m.first("sys/class/dmi/id/product_uuid", "proc/device-tree/vm,uuid"))
	if facts.SystemUUID == "" {
		facts.SystemUUID = facts.MachineID
	}
	facts.OSImage = m.osImage()
	return facts, err
}

func (m *Machine) path(name string) string { return filepath.Join(m.root, name) }

func (m *Machine) meminfo() (procfs.Meminfo, error) {
	proc, err := procfs.NewFS(m.path("proc"))
	if err != nil {
		return procfs.Meminfo{}, fmt.Errorf("read the machine's memory: %w", err)
	}
	info, err := proc.Meminfo()
	if err == nil && info.MemTotalBytes == nil {
		err = errors.New("MemTotal is missing")
	}
	if err != nil {
		return procfs.Meminfo{}, fmt.Errorf("read the machine's memory: %w", err)
	}
	return info, nil
}

// cores counts all of the machine, also those that this process may not use.
func (m *Machine) cores() (int, error) {
	line, err := m.line("sys/devices/system/cpu/online")
	if errors.Is(err, fs.ErrNotExist) {
		return runtime.NumCPU(), nil
	}
	if err != nil {
		return 0, err
	}
	online, err := cpuset.Parse(line)
	if err != nil {
		return 0, fmt.Errorf("count the cores: %w", err)
	}
	return online.Size(), nil
}

// hugepages reads directories such as hugepages-2048kB.
func (m *Machine) hugepages() ([]Hugepages, error) {
	const dir = "sys/kernel/mm/hugepages"
	entries, err := os.ReadDir(m.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the huge pages: %w", err)
	}
	var all []Hugepages
	for _, entry := range entries {
		size, found := strings.CutPrefix(entry.Name(), "hugepages-")
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(size, "kB"), 10, 64)
		if !found || err != nil {
			continue
		}
		pages, err := m.number(filepath.Join(dir, entry.Name(), "nr_hugepages"))
		if err != nil {
			return nil, err
		}
		all = append(all, Hugepages{PageSize: kilobytes << 10, Total: pages * kilobytes << 10})
	}
	return all, nil
}

// osImage is the name of the distribution as it is shown to people.
func (m *Machine) osImage() string {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		text, err := os.ReadFile(m.path(name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if value, found := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); found {
				return strings.Trim(value, `"'`)
			}
		}
	}
	return ""
}

// line reads a file of one line.
func (m *Machine) line(name string) (string, error) {
	text, err := os.ReadFile(m.path(name))
	if err != nil {
		return "", fmt.Errorf("read the machine: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// number reads a file that has a number in it.
func (m *Machine) number(name string) (int64, error) {
	line, err := m.line(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return n, nil
}

// first reads the first of several files that has something in it.
func (m *Machine) first(names ...string) string {
	for _, name := range names {
		if line, err := m.line(name); err == nil && line != "" {
			return line
		}
	}
	return ""
}

func bytesOf(n *uint64) int64 {
	if n == nil {
		return 0
	}
	return int64(*n)
}

// Hostname is the name of the machine, in lower case as node names are.
func Hostname() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find the host's name: %w", err)
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return "", errors.New("find the host's name: it is empty")
	}
	return name, nil
}

// Address is where others reach the machine: the address of the interface that
// the default route uses, else the first that is global, else 127.0.0.1.
func Address() net.IP {
	if ip, err := utilnet.ChooseHostInterface(); err == nil {
		return ip
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return net.IPv4(127, 0, 0, 1)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			return network.IP
		}
	}
	return net.IPv4(127, 0, 0, 1)
}

// Filesystem is how full a file system is.
type Filesystem struct {
	Capacity, Available int64 // bytes; available to all, not only to root
	Inodes, InodesFree  int64
}

// ReadFilesystem reads the file system that a path lies in.
func ReadFilesystem(path string) (Filesystem, error) {
	var stat unix.Statfs_t
	for {
		err := unix.Statfs(path, &stat)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return Filesystem{}, fmt.Errorf("read the file system of %s: %w", path, err)
		}
		return Filesystem{
			Capacity:   int64(stat.Blocks) * stat.Bsize,
			Available:  int64(stat.Bavail) * stat.Bsize,
			Inodes:     int64(stat.Files),
			InodesFree: int64(stat.Ffree),
		}, nil
	}
}
