package script

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// machineImages are the names under which a busybox is there.
var machineImages = []string{"busybox:1.36", "busybox:1.37"}

// needMachine skips a test that runs real containers where that cannot be.
func needMachine(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("real containers need root")
	}
	for _, path := range []string{"/usr/bin/containerd", "/usr/sbin/runc", "/usr/sbin/iptables", "/bin/busybox"} {
		if _, err := os.Stat(path); err != nil {
			t.Skipf("%v: make setup installs it", err)
		}
	}
}

// machineDir is a data directory that a private containerd can use: with a short
// path. All that ran there is removed when the test ends.
func machineDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "garrison-machine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := leaveMachine(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// leaveMachine ends all that was started on a machine, and forgets it.
func leaveMachine(dir string) error {
	if err := resetMachine(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

func resetMachine(dir string, flags ...string) error {
	reset := exec.Command(binary, append([]string{"reset", "--data-dir", dir, "--pod-logs-dir", filepath.Join(dir, "pod-logs"), "--yes"}, flags...)...)
	if out, err := reset.CombinedOutput(); err != nil {
		return fmt.Errorf("garrison reset: %w\n%s", err, out)
	}
	return nil
}

// makeImage writes an archive with a busybox under some names.
func makeImage(archive string, names ...string) error {
	args := append([]string{"run", "./test/images", "-o", archive}, names...)
	command := exec.Command("go", args...)
	command.Dir = repository
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("make an image: %w\n%s", err, out)
	}
	return nil
}

// podRange is a range of addresses that machines with another data directory
// hardly have.
func podRange(dir string) string {
	hash := fnv.New32a()
	io.WriteString(hash, dir)
	sum := hash.Sum32()
	return fmt.Sprintf("10.%d.%d.0/24", 64+byte(sum>>8)%128, byte(sum))
}

// machineConfig is a control plane with this machine as its node, here.
func machineConfig(dir string, flags ...string) planeConfig {
	return planeConfig{
		args: append([]string{"up", "--port", "0", "--cluster-cidr", podRange(dir), "--agent-port", "0", "--node-name", "here", "--eviction-hard", "memory.available<50Mi", "--pod-logs-dir", filepath.Join(dir, "pod-logs")}, flags...),
		dir:  dir,
		env:  []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "GARRISON_DATA_DIR=" + dir},
	}
}

func startMachine(t *testing.T, dir string, flags ...string) *plane {
	t.Helper()
	plane, err := startPlane(machineConfig(dir, flags...))
	if err != nil {
		t.Fatal(err)
	}
	return plane
}

// The stories share one machine, and each has a namespace of its own.
func TestMachine(t *testing.T) {
	needMachine(t)
	dir := machineDir(t)
	images := filepath.Join(dir, "images")
	if err := os.Mkdir(images, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := makeImage(filepath.Join(images, "busybox.tar"), machineImages...); err != nil {
		t.Fatal(err)
	}
	plane := startMachine(t, dir, "--cluster-dns", "192.0.2.10", "--extended-resources", "example.com/widget=2",
		"--allowed-unsafe-sysctls", "kernel.msg*", "--runtime-handlers", "other=/usr/sbin/runc")
	t.Run("stories", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:                "testdata/machine",
			Setup:              func(env *testscript.Env) error { return setupOnMachine(env, dir) },
			Cmds:               machineCommands,
			RequireUniqueNames: true,
		})
	})
	if t.Failed() {
		t.Logf("[log of garrison up]\n%s", plane.end())
		return
	}
	if err := plane.stop(); err != nil {
		t.Error(err)
	}
}

var machineCommands = map[string]func(*testscript.TestScript, bool, []string){
	"kubectl":    cmdKubectl,
	"eventually": cmdEventually,
	"image":      cmdImage,
	"forward":    cmdForward,
	"disk":       cmdDisk,
	"program":    cmdProgram,
	"registry":   cmdRegistry,
	"publish":    cmdPublish,
}

// setupOnMachine gives a story a namespace that lets pods do anything, and a
// kubeconfig that names it.
func setupOnMachine(env *testscript.Env, dir string) error {
	if err := setup(env); err != nil {
		return err
	}
	namespace := "story-" + strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
	kubeconfig := filepath.Join(env.WorkDir, ".kubeconfig")
	admin, err := os.ReadFile(filepath.Join(dir, "admin.kubeconfig"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(kubeconfig, admin, 0o600); err != nil {
		return err
	}
	env.Setenv("KUBECONFIG", kubeconfig)
	env.Setenv("GARRISON_DATA_DIR", dir)
	env.Setenv("NAMESPACE", namespace)
	env.Setenv("BIN", filepath.Dir(binary))
	for _, args := range [][]string{
		{"config", "set-context", "--current", "--namespace", namespace},
		{"create", "namespace", namespace},
		{"label", "namespace", namespace, "pod-security.kubernetes.io/enforce=privileged"},
	} {
		command := exec.Command(binary, append([]string{"kubectl", "--kubeconfig", kubeconfig}, args...)...)
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("kubectl %v: %w\n%s", args, err, out)
		}
	}
	return nil
}

// cmdImage makes an image appear on the machine: image ARCHIVE [flags] NAME...
func cmdImage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: image ARCHIVE [flags] NAME...")
	}
	archive := filepath.Join(ts.Getenv("GARRISON_DATA_DIR"), "images", args[0])
	ts.Check(makeImage(archive, args[1:]...))
	ts.Defer(func() { _ = os.Remove(archive) })
}

// cmdProgram builds a program that runs in any image: program FILE PACKAGE.
func cmdProgram(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: program FILE PACKAGE")
	}
	command := exec.Command("go", "build", "-o", ts.MkAbs(args[0]), args[1])
	command.Dir, command.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		ts.Fatalf("go build %s: %v\n%s", args[1], err, out)
	}
}

// cmdDisk mounts a small file system that shares what is mounted in it, as all are
// where systemd is: disk FOLDER.
func cmdDisk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: disk FOLDER")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(dir, 0o755))
	ts.Check(ts.Exec("mount", "-t", "tmpfs", "-o", "size=1m", "none", dir))
	ts.Defer(func() {
		if err := exec.Command("umount", "--recursive", dir).Run(); err != nil {
			ts.Logf("unmount %s: %v", dir, err)
		}
	})
	ts.Check(ts.Exec("mount", "--make-shared", dir))
}

// forwarding is the line that kubectl port-forward prints first.
var forwarding = regexp.MustCompile(`Forwarding from 127\.0\.0\.1:(\d+) `)

// cmdForward forwards a port until the story ends, and sets FORWARDED to the local
// one: forward WHAT PORT.
func cmdForward(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: forward WHAT PORT")
	}
	var said lockedBuffer
	command := exec.Command(binary, "kubectl", "port-forward", args[0], ":"+args[1])
	for _, name := range []string{"HOME", "KUBECONFIG", "KUBECTL_PORT_FORWARD_WEBSOCKETS"} {
		command.Env = append(command.Env, name+"="+ts.Getenv(name))
	}
	command.Stdout, command.Stderr = &said, &said
	ts.Check(command.Start())
	ts.Defer(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(glance) {
		if match := forwarding.FindStringSubmatch(said.String()); match != nil {
			ts.Setenv("FORWARDED", match[1])
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("kubectl port-forward says after %v:\n%s", patience, said.String())
		}
	}
}
