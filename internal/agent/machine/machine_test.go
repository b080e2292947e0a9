package machine

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// fixture unpacks an archive of testdata and opens it as a machine.
func fixture(t *testing.T, name string) *Machine {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := txtar.Write(archive, root); err != nil {
		t.Fatal(err)
	}
	return Open(root)
}

func TestFacts(t *testing.T) {
	for name, want := range map[string]Facts{
		"v1.txtar": {
			Cores: 4, Memory: 8000000 << 10, Swap: 2000000 << 10,
			Hugepages: []Hugepages{{PageSize: 1 << 30}, {PageSize: 2 << 20, Total: 32 << 20}},
			BootID:    "0d6f2a2e-5b5f-4c5c-9a3e-0c0f8a1f4e11",
			MachineID: "9f1c5e5f2a0b4d0e8c7f0a1b2c3d4e5f", SystemUUID: "4c4c4544-0034-5310-8052-b4c04f4a4b32",
			KernelVersion: "6.1.0-18-amd64", OSImage: "Debian GNU/Linux 12 (bookworm)",
		},
		"v2.txtar": {
			Cores: 1, Memory: 4000000 << 10,
			BootID:    "8a1f4e11-5b5f-4c5c-9a3e-0c0f0d6f2a2e",
			MachineID: "5e5f2a0b4d0e8c7f0a1b2c3d4e5f9f1c", SystemUUID: "5e5f2a0b4d0e8c7f0a1b2c3d4e5f9f1c",
			KernelVersion: "6.9.1", OSImage: "Minimal",
		},
	} {
		want.OperatingSystem, want.Architecture = runtime.GOOS, runtime.GOARCH
		got, err := fixture(t, name).Facts()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestUsage(t *testing.T) {
	for name, want := range map[string]struct {
		memory    Memory
		available int64
		pids      PIDs
		cpu       time.Duration
	}{
		"v1.txtar": {
			memory:    Memory{Total: 8192000000, Usage: 5000000000, WorkingSet: 3000000000, RSS: 1500000000, PageFaults: 77, MajorFaults: 5, SwapTotal: 2048000000, SwapFree: 1536000000},
			available: 5192000000,
			pids:      PIDs{Max: 62000, Running: 421},
			cpu:       16 * time.Second,
		},
		"v2.txtar": {
			memory:    Memory{Total: 4096000000, Usage: 3072000000, WorkingSet: 2072000000, RSS: 700000000, PageFaults: 12, MajorFaults: 3},
			available: 2024000000,
			pids:      PIDs{Max: 32768, Running: 80},
		},
	} {
		m := fixture(t, name)
		memory, err := m.Memory()
		if err != nil || memory != want.memory || memory.Available() != want.available {
			t.Errorf("%s: memory %+v, available %d, %v", name, memory, memory.Available(), err)
		}
		if pids, err := m.PIDs(); err != nil || pids != want.pids {
			t.Errorf("%s: processes %+v, %v", name, pids, err)
		}
		if cpu, err := m.CPU(); err != nil || cpu.Round(time.Millisecond) != want.cpu {
			t.Errorf("%s: CPU time %v, %v", name, cpu, err)
		}
		if booted, err := m.Booted(); err != nil || booted.Unix() != 1700000000 {
			t.Errorf("%s: booted %v, %v", name, booted, err)
		}
	}
}

func TestWorkingSetIsNeverNegative(t *testing.T) {
	m := fixture(t, "v1.txtar")
	if err := os.WriteFile(m.path("sys/fs/cgroup/memory/memory.usage_in_bytes"), []byte("1000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	memory, err := m.Memory()
	if err != nil || memory.WorkingSet != 0 || memory.Available() != memory.Total {
		t.Errorf("memory %+v, %v", memory, err)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	for file, read := range map[string]func(*Machine) error{
		"meminfo":     func(m *Machine) error { _, err := m.Memory(); return err },
		"boot_id":     func(m *Machine) error { _, err := m.Facts(); return err },
		"pid_max":     func(m *Machine) error { _, err := m.PIDs(); return err },
		"/proc/stat:": func(m *Machine) error { _, err := m.CPU(); return err },
	} {
		m := fixture(t, "v2.txtar")
		for _, name := range []string{"proc/meminfo", "proc/stat", "proc/sys/kernel/random/boot_id", "proc/sys/kernel/pid_max"} {
			if strings.Contains(name+":", strings.Trim(file, "/")) {
				if err := os.Remove(m.path(name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := read(m); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("without %s: %v", file, err)
		}
	}
}

// The machine that runs the tests must be readable too, whatever it is.
func TestThisMachine(t *testing.T) {
	m := Open("/")
	facts, err := m.Facts()
	if err != nil || facts.Cores < 1 || facts.Memory < 1<<20 || facts.BootID == "" || facts.KernelVersion == "" {
		t.Errorf("facts %+v, %v", facts, err)
	}
	memory, err := m.Memory()
	if err != nil || memory.Total != facts.Memory || memory.Available() <= 0 || memory.Available() > memory.Total {
		t.Errorf("memory %+v, %v", memory, err)
	}
	pids, err := m.PIDs()
	if err != nil || pids.Running < 1 || pids.Running > pids.Max {
		t.Errorf("processes %+v, %v", pids, err)
	}
	files, err := ReadFilesystem(t.TempDir())
	if err != nil || files.Capacity <= 0 || files.Available > files.Capacity || files.InodesFree > files.Inodes {
		t.Errorf("file system %+v, %v", files, err)
	}
	if name, err := Hostname(); err != nil || name != strings.ToLower(name) || name == "" {
		t.Errorf("host name %q, %v", name, err)
	}
	if ip := Address(); ip == nil || net.ParseIP(ip.String()) == nil {
		t.Errorf("address %v", ip)
	}
	if _, err := ReadFilesystem(filepath.Join(t.TempDir(), "absent")); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("file system of nothing: %v", err)
	}
}

func TestNetwork(t *testing.T) {
	for name, standard := range map[string]string{"v1.txtar": "eth0", "v2.txtar": ""} {
		got, err := fixture(t, name).Network()
		if err != nil {
			t.Fatal(err)
		}
		want := Network{Default: standard, Interfaces: []Interface{
			{Name: "eth0", RxBytes: 1000, RxErrors: 1, TxBytes: 200, TxErrors: 2}, {Name: "wlan0", RxBytes: 3000, TxBytes: 400},
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
