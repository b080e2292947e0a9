package containerd

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// onlyIn makes Find look nowhere but in one folder, and returns a function that
// puts programs there.
func onlyIn(t *testing.T) (dir string, put func(names ...string)) {
	t.Helper()
	dir = t.TempDir()
	oldPrograms, oldPlugins := programDirs, pluginDirs
	t.Cleanup(func() { programDirs, pluginDirs = oldPrograms, oldPlugins })
	programDirs, pluginDirs = []string{filepath.Join(dir, "sbin")}, []string{filepath.Join(dir, "cni"), filepath.Join(dir, "cni2")}
	t.Setenv("PATH", filepath.Join(dir, "bin")+":relative")
	return dir, func(names ...string) {
		t.Helper()
		for _, name := range names {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestFindNamesAllThatIsMissing(t *testing.T) {
	_, put := onlyIn(t)
	_, err := Find(Needs{})
	const all = "to run pods this machine lacks containerd, ctr, containerd-shim-runc-v2, runc, " +
		"the CNI plugins loopback, bridge, host-local, portmap, iptables: install what has them, " +
		"on Debian and Ubuntu with: apt-get install containerd runc containernetworking-plugins iptables"
	if err == nil || err.Error() != all {
		t.Errorf("got  %v\nwant %s", err, all)
	}
	put("bin/containerd", "bin/ctr", "bin/containerd-shim-runc-v2", "sbin/iptables", "cni/bridge", "cni2/loopback", "cni2/bridge", "cni2/host-local")
	var missing *MissingError
	if _, err = Find(Needs{}); !errors.As(err, &missing) {
		t.Fatalf("got %v", err)
	}
	if want := []string{"runc", "the CNI plugins portmap"}; !slices.Equal(missing.Programs, want) {
		t.Errorf("got programs %q, want %q", missing.Programs, want)
	}
	if want := []string{"runc", "containernetworking-plugins"}; !slices.Equal(missing.Packages, want) {
		t.Errorf("got packages %q, want %q", missing.Packages, want)
	}
}

func TestFind(t *testing.T) {
	dir, put := onlyIn(t)
	put("bin/containerd", "bin/ctr", "bin/containerd-shim-runc-v2", "sbin/runc", "sbin/iptables")
	for _, plugin := range plugins {
		put("cni2/" + plugin)
	}
	got, err := Find(Needs{})
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	want := Programs{
		Containerd: in("bin/containerd"), Ctr: in("bin/ctr"), Shim: in("bin/containerd-shim-runc-v2"), Runc: in("sbin/runc"),
		IPTables: in("sbin/iptables"), CNI: in("cni2"),
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	// One that is named brings its companions, and lacks what is not there.
	put("own/containerd", "own/ctr", "own/containerd-shim-runc-v2", "own/runc")
	got, err = Find(Needs{ContainerdPath: in("own/containerd")})
	if err != nil {
		t.Fatal(err)
	}
	if got.Containerd != in("own/containerd") || got.Ctr != in("own/ctr") || got.Shim != in("own/containerd-shim-runc-v2") || got.Runc != in("own/runc") {
		t.Errorf("got %+v", got)
	}
	if _, err := Find(Needs{ContainerdPath: in("none/containerd")}); err == nil || !strings.Contains(err.Error(), in("none/containerd")) {
		t.Errorf("got %v", err)
	}
}

func TestFindForForeignNetwork(t *testing.T) {
	dir, put := onlyIn(t)
	put("bin/containerd", "bin/ctr", "bin/containerd-shim-runc-v2", "bin/runc", "theirs/loopback")
	got, err := Find(Needs{ForeignNetwork: true, CNIBinDir: filepath.Join(dir, "theirs")})
	if err != nil {
		t.Fatal(err)
	}
	if got.IPTables != "" || got.CNI != filepath.Join(dir, "theirs") {
		t.Errorf("got %+v", got)
	}
}
