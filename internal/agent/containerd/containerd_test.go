package containerd

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"golang.org/x/sys/unix"
)

// TestFiles shows the files that containerd and its plugins are given.
func TestFiles(t *testing.T) {
	l, err := Config{Dir: DefaultDir}.layout()
	if err != nil {
		t.Fatal(err)
	}
	datadriven.RunTest(t, "testdata/files", func(t *testing.T, d *datadriven.TestData) string {
		var out []byte
		var err error
		switch d.Cmd {
		case "config":
			m := machine{snapshotter: "overlayfs", sysResource: true, arch: "amd64"}
			if d.HasArg("poor") {
				m = machine{snapshotter: "native", arch: "arm64"}
			}
			var major int
			d.ScanArgs(t, "containerd", &major)
			programs := Programs{Runc: "/usr/sbin/runc", CNI: "/usr/lib/cni"}
			var handlers []Handler
			if d.HasArg("handlers") {
				handlers = []Handler{{Name: "crun", Type: runcShim, Program: "/usr/bin/crun"}, {Name: "kata", Type: "io.containerd.kata.v2"}}
			}
			out, err = newSettings(l, programs, handlers, m).render(major)
		case "network":
			var ranges []netip.Prefix
			for _, cidr := range d.CmdArgs[0].Vals {
				ranges = append(ranges, netip.MustParsePrefix(cidr))
			}
			out, err = podNetwork(l, ranges)
			for _, r := range ranges {
				for _, chain := range l.chains(r) {
					out = fmt.Appendf(out, "\n%s %s\n  %s", chain.Table, chain.Name, strings.Join(chain.Rules, "\n  "))
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	})
}

func TestParseHandlers(t *testing.T) {
	for given, want := range map[string]string{
		"":                           "[]",
		"kata=io.containerd.kata.v2": "[{kata io.containerd.kata.v2 }]",
		"sh=/bin/sh":                 "[{sh io.containerd.runc.v2 /bin/sh}]",
		"runc=/bin/sh":               "the handler runc is there already",
		"a_b=/bin/sh":                `"a_b" cannot be the name of a handler: a lowercase RFC 1123 label must consist of`,
		"none=/nowhere":              "handler none: /nowhere is not a program",
		"kata=kata":                  `handler kata: "kata" is neither the path of a program nor the type of a shim such as io.containerd.kata.v2`,
	} {
		handlers := map[string]string{}
		if name, how, found := strings.Cut(given, "="); found {
			handlers[name] = how
		}
		list, err := ParseHandlers(handlers)
		got := fmt.Sprint(list)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

func TestLayout(t *testing.T) {
	usual, err := Config{Dir: DefaultDir}.layout()
	if err != nil {
		t.Fatal(err)
	}
	if usual.bridge != "garrison0" || usual.socket != DefaultDir+"/containerd/containerd.sock" {
		t.Errorf("got bridge %s and socket %s", usual.bridge, usual.socket)
	}
	other, err := Config{Dir: "/srv/other"}.layout()
	if err != nil {
		t.Fatal(err)
	}
	if other.bridge == usual.bridge || other.network == usual.network || len(other.bridge) >= unix.IFNAMSIZ {
		t.Errorf("got bridge %s and network %s", other.bridge, other.network)
	}
	long, err := Config{Dir: "/" + strings.Repeat("x", 100)}.layout()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(long.socket, "/run/garrison/") || filepath.Dir(long.state) != filepath.Dir(long.socket) {
		t.Errorf("got socket %s and state %s", long.socket, long.state)
	}
}

// What is left of containers after the machine was booted is not taken for
// containers, and what is there before it was is kept.
func TestStateIsOfOneBoot(t *testing.T) {
	l, err := Config{Dir: t.TempDir()}.layout()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(l.state, "file")
	if err := os.MkdirAll(l.state, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.make(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("state of this boot is gone: %v", err)
		}
	}
	if err := os.WriteFile(filepath.Join(l.runtime, "boot-id"), []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := l.make(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("state of another boot is kept")
	}
}

func TestParseVersion(t *testing.T) {
	for line, want := range map[string]int{
		"containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n":                    1,
		"containerd containerd.io 1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da\n":                       1,
		"containerd github.com/containerd/containerd/v2 v2.1.3 c787fb98911740dd3ff2d0e45ce88cdf01410486\n": 2,
		"containerd github.com/containerd/containerd/v2 2.0.5-0ubuntu1\n":                                  2,
		"containerd github.com/containerd/containerd 1.4.13~ds1 1.4.13~ds1-1~deb11u4\n":                    0,
		"something else entirely\n": 0,
	} {
		got, err := parseVersion(line)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: got %d, %v", line, got, err)
		}
	}
}

func TestHasCapability(t *testing.T) {
	const status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000001000000\n"
	if !hasCapability(status, unix.CAP_SYS_RESOURCE) || hasCapability(status, unix.CAP_SYS_ADMIN) {
		t.Error("the capabilities are not those of the line")
	}
}

func TestMountsBelow(t *testing.T) {
	const mountinfo = `22 1 0:21 / /data rw - ext4 /dev/vda rw
30 22 0:40 / /data/agent/a rw - overlay overlay rw
31 22 0:41 / /data/agent/with\040space rw - tmpfs tmpfs rw
32 22 0:42 / /data/agents rw - tmpfs tmpfs rw
`
	got := mountsBelow(mountinfo, "/data/agent")
	if want := "/data/agent/a|/data/agent/with space"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %s", got, want)
	}
}

func TestTrimLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, size := range []int{maxLog - 1, maxLog} {
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := trimLog(path); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if trimmed := info.Size() == 0; trimmed != (size >= maxLog) {
			t.Errorf("a log of %d bytes has %d after it", size, info.Size())
		}
	}
	if info, err := os.Stat(path + ".1"); err != nil || info.Size() != maxLog {
		t.Errorf("what was in it is lost: %v", err)
	}
}

func TestDescribeExit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log := "time=x level=info msg=\"hello\"\ncontainerd: failed to load TOML\n"
	if err := os.WriteFile(path, []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := describeExit(nil, path).Error(); !strings.HasSuffix(got, "ends with: containerd: failed to load TOML") {
		t.Errorf("got %q", got)
	}
}
