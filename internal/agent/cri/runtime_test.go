package cri_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/containerd/containerdtest"
	"github.com/garrison-project/garrison/internal/agent/cri"
	"github.com/garrison-project/garrison/internal/agent/runtimetest"
	"github.com/garrison-project/garrison/internal/agent/simruntime"
)

// connect gives a client of a containerd. Whatever it makes on the machine goes
// when the test ends.
func connect(t testing.TB, c *containerd.Containerd) (*cri.Runtime, cri.Options) {
	t.Helper()
	dir := t.TempDir()
	options := cri.Options{
		Endpoint:         c.Endpoint(),
		CgroupRoot:       "/garrison-" + filepath.Base(dir) + fmt.Sprint(os.Getpid()),
		PodsDirectory:    filepath.Join(dir, "pods"),
		LinksDirectory:   filepath.Join(dir, "containers"),
		SeccompDirectory: filepath.Join(dir, "seccomp"),
	}
	t.Cleanup(func() { removeCgroups(t, options.CgroupRoot) })
	return client(t, options), options
}

// client gives another client.
func client(t testing.TB, options cri.Options) *cri.Runtime {
	t.Helper()
	r, err := cri.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// removeCgroups removes a control group, in which nothing must be left.
func removeCgroups(t testing.TB, group string) {
	places, err := filepath.Glob("/sys/fs/cgroup/*" + group)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range append(places, "/sys/fs/cgroup"+group) {
		if err := os.Remove(place); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
}

func TestSuite(t *testing.T) {
	runtimetest.Test(t, func(t *testing.T) runtimetest.Env {
		r, options := connect(t, containerdtest.Start(t))
		return runtimetest.Env{
			Runtime:   r,
			Reconnect: func() agent.Runtime { return client(t, options) },
			Image:     containerdtest.Image,
			Missing:   "127.0.0.1:1/busybox:missing", // where nobody listens
			Command:   shell,
			Ready:     []string{"test", "-e", "/tmp/ready"},
			Logs:      t.TempDir(),
		}
	})
}

// shell makes a shell do what a script says.
func shell(s simruntime.Script) []string {
	if s.StartError != "" {
		return []string{"/no/such/program"}
	}
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if s.Message != "" {
		add("printf %%s '%s' >/dev/termination-log", s.Message)
	}
	if s.Output != "" {
		add("printf %%s '%s'", s.Output)
	}
	if s.IgnoreTerm {
		add("trap '' TERM")
	} else {
		add("trap 'sleep %.3f; exit %d' TERM", s.TermDelay.Seconds(), s.TermCode)
	}
	add("touch /tmp/ready")
	if s.Ends {
		add("sleep %.3f & wait", s.After.Seconds())
		add("exit %d", s.ExitCode)
	} else {
		add("while :; do sleep 3600 & wait; done")
	}
	return []string{"sh", "-c", strings.Join(lines, "\n")}
}
