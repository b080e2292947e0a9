package script

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// bootID is where the kernel says which of its runs this is.
const bootID = "/proc/sys/kernel/random/boot_id"

// cmdReboot ends everything on a machine at once, as a boot does. The next garrison
// sees another ID of the boot: reboot.
func cmdReboot(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg, len(args) != 0, "reboot")
	if log := planeOf(ts).end(); log != "" {
		ts.Fatalf("all was well and yet garrison logged:\n%s", log)
	}
	ts.Check(pullThePlug(ts.Getenv("GARRISON_DATA_DIR")))
	ts.Check(os.WriteFile(ts.MkAbs(".boot-id"), []byte("0b0074d0-0000-4000-8000-000000000002\n"), 0o444))
}

// booted runs a command as after the boot. What is mounted for it is seen by it alone,
// and by what it starts.
func booted(ts *testscript.TestScript) []string {
	id := ts.MkAbs(".boot-id")
	if _, err := os.Stat(id); err != nil {
		return nil
	}
	return []string{"unshare", "--mount", "--propagation", "slave", "sh", "-c", `mount --bind "$0" ` + bootID + ` && exec "$@"`, id}
}

// pullThePlug ends all processes that run below a folder without a word: containerd,
// shims, and the containers of those. It takes away what is mounted there.
func pullThePlug(dir string) error {
	var doomed []int
	for _, pid := range running(dir) {
		doomed = append(doomed, pid)
		children, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "task", strconv.Itoa(pid), "children"))
		if err != nil {
			return err
		}
		for _, child := range bytes.Fields(children) {
			if pid, err := strconv.Atoi(string(child)); err == nil && !slices.Contains(doomed, pid) {
				doomed = append(doomed, pid)
			}
		}
	}
	if len(doomed) < 4 {
		return fmt.Errorf("containerd, a shim and two containers must run, not %d processes", len(doomed))
	}
	for _, pid := range doomed {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	for deadline := time.Now().Add(patience); len(running(dir)) > 0; time.Sleep(glance) {
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end", running(dir))
		}
	}
	return unmountAll(dir)
}

// running are the processes that have a path below a folder among their arguments.
func running(dir string) []int {
	var found []int
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // a good pattern
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if pid, wrong := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && wrong == nil && bytes.Contains(line, []byte(dir+"/")) {
			found = append(found, pid)
		}
	}
	return found
}

// unmountAll takes away what is mounted below a folder, the last first.
func unmountAll(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	lines := strings.Split(string(mounts), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			if err := syscall.Unmount(fields[4], syscall.MNT_DETACH); err != nil {
				return fmt.Errorf("unmount %s: %w", fields[4], err)
			}
		}
	}
	return nil
}
