package containerd

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what a machine can do, as far as it matters here.
type machine struct {
	// snapshotter is overlayfs, or native where overlays cannot be mounted.
	snapshotter string
	// sysResource says that the OOM score of a process may be lowered.
	sysResource bool
	arch        string // in Go's words
}

func lookAtMachine(root string) (machine, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return machine{}, fmt.Errorf("read this process's capabilities: %w", err)
	}
	m := machine{snapshotter: "overlayfs", arch: runtime.GOARCH, sysResource: hasCapability(string(status), unix.CAP_SYS_RESOURCE)}
	if !canOverlay(root) {
		m.snapshotter = "native"
	}
	return m, nil
}

// hasCapability reads the effective capabilities in a /proc/PID/status.
func hasCapability(status string, capability int) bool {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return err == nil && set&(1<<capability) != 0
		}
	}
	return false
}

// canOverlay tries an overlay on the file system of a folder: mounts one, and
// replaces a folder in it, for which the file system must keep attributes that
// some lack.
func canOverlay(dir string) bool {
	try, err := os.MkdirTemp(dir, "overlay-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(try)
	for _, name := range []string{"lower/folder", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(try, name), 0o700); err != nil {
			return false
		}
	}
	if err := os.WriteFile(filepath.Join(try, "lower", "folder", "file"), nil, 0o600); err != nil {
		return false
	}
	merged := filepath.Join(try, "merged")
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", try)
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return false
	}
	folder := filepath.Join(merged, "folder")
	err = os.RemoveAll(folder)
	if err == nil {
		err = os.Mkdir(folder, 0o700)
	}
	return unix.Unmount(merged, unix.MNT_DETACH) == nil && err == nil
}

// enableForwarding lets the kernel pass packets between pods and the world.
func enableForwarding(ranges []netip.Prefix) error {
	for _, r := range ranges {
		setting := "/proc/sys/net/ipv4/ip_forward"
		if r.Addr().Is6() {
			setting = "/proc/sys/net/ipv6/conf/all/forwarding"
		}
		if value, err := os.ReadFile(setting); err == nil && strings.TrimSpace(string(value)) == "1" {
			continue
		}
		if err := os.WriteFile(setting, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("let the kernel forward packets of pods: set %s to 1: %w", setting, err)
		}
	}
	return nil
}

// rangesFree makes sure that no other device than our bridge has an address in a
// range: the kernel would send packets for pods there.
func rangesFree(ranges []netip.Prefix, bridge string) error {
	devices, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list the addresses of this machine: %w", err)
	}
	for _, device := range devices {
		if device.Name == bridge {
			continue
		}
		addresses, err := device.Addrs()
		if err != nil {
			continue // it is gone
		}
		for _, address := range addresses {
			prefix, err := netip.ParsePrefix(address.String())
			if err != nil {
				continue
			}
			for _, r := range ranges {
				if r.Contains(prefix.Addr()) {
					return fmt.Errorf("pods cannot have addresses of %v: device %s has %v of it; another agent of this machine may be using the range", r, device.Name, prefix.Addr())
				}
			}
		}
	}
	return nil
}
