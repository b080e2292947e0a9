package cri

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// TestLastLines shows what of a log becomes a termination message. Lines are
// STREAM TAG TEXT; a line "cut" stands for one whose beginning was cut off, and
// "broken" for one whose end has not been written.
func TestLastLines(t *testing.T) {
	datadriven.RunTest(t, "testdata/lastlines", func(t *testing.T, d *datadriven.TestData) string {
		var log strings.Builder
		for line := range strings.Lines(d.Input + "\n") {
			switch line {
			case "cut\n":
				log.WriteString("9Z stdout\n")
			case "broken\n":
				log.WriteString("2026-01-01T00:00:00.000000000Z stdout F begun")
			default:
				log.WriteString("2026-01-01T00:00:00.000000000Z " + line)
			}
		}
		return fmt.Sprintf("%q\n", lastLines([]byte(log.String())))
	})
}

func TestMessagesAreLimited(t *testing.T) {
	line := "2026-01-01T00:00:00.000000000Z stdout F x\n"
	if got := string(lastLines([]byte(strings.Repeat(line, 200)))); got != strings.Repeat("x\n", maxLogLines) {
		t.Errorf("want 80 lines, not %q", got)
	}
	line = "2026-01-01T00:00:00.000000000Z stdout F " + strings.Repeat("x", 999) + "\n"
	if got := len(lastLines([]byte(strings.Repeat(line, 5)))); got != maxLogMessage {
		t.Errorf("want 2048 bytes, not %d", got)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestRotatedLogsAreTidied(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "0.log")
	for _, name := range []string{
		"0.log", "1.log.20260101-000000", "0.log.20260101-000000", "0.log.20260102-000000.gz", "0.log.20260103-000000", "0.log.20260103-000000.gz",
		"0.log.20260104-000000", "0.log.20260104-000000.tmp",
	} {
		write(t, filepath.Join(dir, name), name)
	}
	if err := (rotation{log: log, maxFiles: 4}).tidy(); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, dir), "0.log 0.log.20260103-000000.gz 0.log.20260104-000000.gz 1.log.20260101-000000"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	f, err := os.Open(filepath.Join(dir, "0.log.20260104-000000.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reader, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(reader); err != nil || string(content) != "0.log.20260104-000000" {
		t.Errorf("the compressed log has %q (%v)", content, err)
	}
}

// A log that the runtime does not reopen is where it was.
func TestRotationIsTakenBack(t *testing.T) {
	log := filepath.Join(t.TempDir(), "0.log")
	write(t, log, "content")
	r := serveFake(t, &fake{}) // which knows no logs
	if err := r.rotate(t.Context(), "c", rotation{log: log, maxSize: 1, maxFiles: 5, now: time.Now()}); err == nil {
		t.Error("want an error")
	}
	if got := names(t, filepath.Dir(log)); got != "0.log" {
		t.Errorf("got %s", got)
	}
}

func TestControlFiles(t *testing.T) {
	limits := &runtimeapi.LinuxContainerResources{CpuShares: 512, CpuQuota: 50000, MemoryLimitInBytes: 1 << 20}
	for _, test := range []struct {
		unified bool
		limits  *runtimeapi.LinuxContainerResources
		want    map[string]string
	}{
		{false, limits, map[string]string{
			"cpu/g/pod/cpu.shares": "512", "cpu/g/pod/cpu.cfs_quota_us": "50000", "cpu/g/pod/cpu.cfs_period_us": "100000",
			"memory/g/pod/memory.limit_in_bytes": "1048576",
		}},
		{false, &runtimeapi.LinuxContainerResources{CpuShares: 2}, map[string]string{
			"cpu/g/pod/cpu.cfs_quota_us": "-1", "memory/g/pod/memory.limit_in_bytes": "-1", "cpu/g/cpu.cfs_quota_us": "-1",
		}},
		{true, limits, map[string]string{
			"g/pod/cpu.weight": "20", "g/pod/cpu.max": "50000 100000", "g/pod/memory.max": "1048576",
			"cgroup.subtree_control": "+cpu +memory", "g/cgroup.subtree_control": "+cpu +memory",
		}},
		{true, &runtimeapi.LinuxContainerResources{CpuShares: 2}, map[string]string{
			"g/pod/cpu.weight": "1", "g/pod/cpu.max": "max 100000", "g/pod/memory.max": "max",
		}},
	} {
		c := cgroups{mount: t.TempDir(), unified: test.unified}
		if err := c.create("/g/pod", test.limits); err != nil {
			t.Fatal(err)
		}
		for name, want := range test.want {
			if got := read(t, filepath.Join(c.mount, name)); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

// A control group is not taken from a sandbox that is being made.
func TestControlGroupsAreRemovedInTime(t *testing.T) {
	r := serveFake(t, &fake{})
	r.cgroups = cgroups{mount: t.TempDir(), unified: true}
	group := filepath.Join(r.cgroups.mount, "pod")
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	pod := agent.PodName{UID: "u"}
	made := r.create(pod.UID)
	if err := r.removeCgroup(t.Context(), pod, "/pod"); err != nil || !exists(group) {
		t.Errorf("it was removed too early (%v)", err)
	}
	made()
	if err := r.removeCgroup(t.Context(), pod, "/pod"); err != nil || exists(group) {
		t.Errorf("it was not removed (%v)", err)
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(group, "busy"), "")
	if err := r.removeCgroup(t.Context(), pod, "/pod"); err == nil {
		t.Error("it is in use and yet was removed")
	}
}

// TestMessagesDoNotKeepContainersFromStarting: below a read-only mount no file can
// be made to mount the termination message on.
func TestMessagesDoNotKeepContainersFromStarting(t *testing.T) {
	empty, full := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "termination-log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dev := func(host string, readOnly bool) agent.Mount {
		return agent.Mount{HostPath: host, ContainerPath: "/dev/", ReadOnly: readOnly}
	}
	for name, c := range map[string]struct {
		mounts []agent.Mount
		want   bool
	}{
		"nothing is mounted":          {nil, true},
		"something is mounted beside": {[]agent.Mount{{HostPath: empty, ContainerPath: "/de", ReadOnly: true}}, true},
		"writable around":             {[]agent.Mount{dev(empty, false)}, true},
		"read-only around":            {[]agent.Mount{dev(empty, true)}, false},
		"read-only with the file":     {[]agent.Mount{dev(full, true)}, true},
		"the nearer mount counts":     {[]agent.Mount{dev(empty, false), {HostPath: empty, ContainerPath: "/", ReadOnly: true}}, true},
		"something is there already":  {[]agent.Mount{{HostPath: full, ContainerPath: "/dev//termination-log"}}, false},
	} {
		if got := mountable(c.mounts, "/dev/termination-log"); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
