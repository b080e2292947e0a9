package containerd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Needs says what Find looks for.
type Needs struct {
	// ContainerdPath is a containerd to use; empty looks for one.
	ContainerdPath string
	// CNIBinDir is a folder of CNI plugins; empty looks for one.
	CNIBinDir string
	// ForeignNetwork says that the pod network is configured by others, who
	// answer for the plugins that it needs.
	ForeignNetwork bool
}

// Programs are what a node runs pods with, as absolute paths.
type Programs struct {
	Containerd, Ctr, Shim, Runc string
	// IPTables is what our pod network is made with; empty with a foreign network
	// on a machine without it.
	IPTables string
	// CNI is the folder with the plugins.
	CNI string
}

var (
	programDirs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
	pluginDirs  = []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"}
	// plugins are those of our pod network.
	plugins = []string{"loopback", "bridge", "host-local", "portmap"}
)

// MissingError says which programs a machine lacks, and what to install.
type MissingError struct {
	// Programs are what was not found, and Packages Debian's and Ubuntu's that
	// have them.
	Programs, Packages []string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("to run pods this machine lacks %s: install what has them, on Debian and Ubuntu with: apt-get install %s",
		strings.Join(e.Programs, ", "), strings.Join(e.Packages, " "))
}

func (e *MissingError) add(program, pkg string) {
	e.Programs = append(e.Programs, program)
	if !slices.Contains(e.Packages, pkg) {
		e.Packages = append(e.Packages, pkg)
	}
}

// Find looks for all that is needed, on PATH and where distributions put it. If
// something is not there the error is a *MissingError that names all of it.
func Find(needs Needs) (Programs, error) {
	var found Programs
	missing := &MissingError{}
	find := func(to *string, name, pkg string, first ...string) {
		if *to = lookUp(name, first...); *to == "" {
			missing.add(name, pkg)
		}
	}
	if path := needs.ContainerdPath; path == "" {
		find(&found.Containerd, "containerd", "containerd")
	} else if found.Containerd = executable(path); found.Containerd == "" {
		missing.add(path, "containerd")
	}
	// A containerd that was named has its own companions beside it.
	beside := filepath.Dir(found.Containerd)
	find(&found.Ctr, "ctr", "containerd", beside)
	find(&found.Shim, "containerd-shim-runc-v2", "containerd", beside)
	find(&found.Runc, "runc", "runc", beside)
	var lacks []string
	if found.CNI, lacks = findPlugins(needs); len(lacks) > 0 {
		missing.add("the CNI plugins "+strings.Join(lacks, ", "), "containernetworking-plugins")
	}
	if needs.ForeignNetwork {
		found.IPTables = lookUp("iptables")
	} else {
		find(&found.IPTables, "iptables", "iptables")
	}
	if len(missing.Programs) > 0 {
		return Programs{}, missing
	}
	return found, nil
}

// lookUp finds a program, first in the folders given, then on PATH, then in the
// usual ones, since PATH often lacks the administrator's.
func lookUp(name string, first ...string) string {
	for _, dir := range slices.Concat(first, filepath.SplitList(os.Getenv("PATH")), programDirs) {
		if path := executable(filepath.Join(dir, name)); filepath.IsAbs(dir) && path != "" {
			return path
		}
	}
	return ""
}

// executable is the absolute path of a program, and empty if it cannot be run.
func executable(path string) string {
	path, err := exec.LookPath(path)
	if err != nil {
		return ""
	}
	if path, err = filepath.Abs(path); err != nil {
		return ""
	}
	return path
}

// findPlugins finds the first folder that has all plugins. If there is none it
// says what the best one lacks.
func findPlugins(needs Needs) (dir string, lacks []string) {
	want, dirs := plugins, pluginDirs
	if needs.ForeignNetwork {
		want = plugins[:1] // containerd itself uses loopback
	}
	if needs.CNIBinDir != "" {
		dirs = []string{needs.CNIBinDir}
	}
	lacks = want
	for _, candidate := range dirs {
		var absent []string
		for _, plugin := range want {
			if executable(filepath.Join(candidate, plugin)) == "" {
				absent = append(absent, plugin)
			}
		}
		if len(absent) == 0 {
			return candidate, nil
		}
		if len(absent) < len(lacks) {
			lacks = absent
		}
	}
	return "", lacks
}
