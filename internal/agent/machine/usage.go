package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// Memory is how much of the machine's memory is in use, in bytes.
type Memory struct {
	Total, Usage int64
	// WorkingSet is the usage without what the kernel can take back at once.
	WorkingSet int64
	// RSS is memory that no file backs.
	RSS int64
	// MajorFaults and PageFaults are counted since the start.
	PageFaults, MajorFaults int64
	// SwapTotal and SwapFree are on disk.
	SwapTotal, SwapFree int64
}

// Available is what is not in the working set. Pressure is judged by it.
func (m Memory) Available() int64 { return max(0, m.Total-m.WorkingSet) }

// Memory reads the memory in use, from the root control group as kubelets do.
func (m *Machine) Memory() (Memory, error) {
	info, err := m.meminfo()
	if err != nil {
		return Memory{}, err
	}
	memory := Memory{Total: bytesOf(info.MemTotalBytes), SwapTotal: bytesOf(info.SwapTotalBytes), SwapFree: bytesOf(info.SwapFreeBytes)}
	const v1 = "sys/fs/cgroup/memory/"
	memory.Usage, err = m.number(v1 + "memory.usage_in_bytes")
	switch {
	case err == nil:
		err = m.addStat(&memory, v1+"memory.stat", statNames{"total_inactive_file", "total_rss", "total_pgfault", "total_pgmajfault"})
	case errors.Is(err, fs.ErrNotExist):
		// With v2 the root group has statistics and no sum.
		memory.Usage = memory.Total - bytesOf(info.MemFreeBytes)
		err = m.addStat(&memory, "sys/fs/cgroup/memory.stat", statNames{"inactive_file", "anon", "pgfault", "pgmajfault"})
	}
	return memory, err
}

// statNames are the names of the lines that count.
type statNames struct{ inactiveFile, rss, faults, majorFaults string }

// addStat reads a memory.stat. Where there is none, as with a v2 hierarchy
// without the memory controller, everything in use counts as working set.
func (m *Machine) addStat(memory *Memory, name string, names statNames) error {
	memory.WorkingSet = memory.Usage
	text, err := os.ReadFile(m.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the memory in use: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case names.inactiveFile:
			memory.WorkingSet = max(0, memory.Usage-n)
		case names.rss:
			memory.RSS = n
		case names.faults:
			memory.PageFaults = n
		case names.majorFaults:
			memory.MajorFaults = n
		}
	}
	return nil
}

// PIDs counts processes and threads, which both take a number.
type PIDs struct{ Max, Running int64 }

// PIDs reads how many numbers of processes are in use.
func (m *Machine) PIDs() (PIDs, error) {
	most, err := m.number("proc/sys/kernel/pid_max")
	if err != nil {
		return PIDs{}, err
	}
	if threads, err := m.number("proc/sys/kernel/threads-max"); err == nil {
		most = min(most, threads)
	}
	// Such as 0.20 0.18 0.12 1/80 11206: one of 80 runs right now.
	load, err := m.line("proc/loadavg")
	if err != nil {
		return PIDs{}, err
	}
	fields := strings.Fields(load)
	if len(fields) < 4 {
		return PIDs{}, fmt.Errorf("read the processes: %q is no loadavg", load)
	}
	_, count, _ := strings.Cut(fields[3], "/")
	running, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return PIDs{}, fmt.Errorf("read the processes: %w", err)
	}
	return PIDs{Max: most, Running: running}, nil
}

// CPU reads how much time all cores together have worked since the start.
func (m *Machine) CPU() (time.Duration, error) {
	stat, err := m.stat()
	if err != nil {
		return 0, err
	}
	t := stat.CPUTotal
	seconds := t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ + t.Steal
	return time.Duration(seconds * float64(time.Second)), nil
}

// Booted reads when the machine was started.
func (m *Machine) Booted() (time.Time, error) {
	stat, err := m.stat()
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(int64(stat.BootTime), 0), nil
}

func (m *Machine) stat() (procfs.Stat, error) {
	proc, err := procfs.NewFS(m.path("proc"))
	if err != nil {
		return procfs.Stat{}, fmt.Errorf("read the machine's work: %w", err)
	}
	stat, err := proc.Stat()
	if err != nil {
		return procfs.Stat{}, fmt.Errorf("read the machine's work: %w", err)
	}
	return stat, nil
}
