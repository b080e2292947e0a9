package containerd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/containerd/containerdtest"
)

// This binary is an agent that can be killed when a test starts it again with
// these: the folders whose containerds it is to own, and a wish that its machine
// drops what it would forward.
const (
	owned = "GARRISON_TEST_OWNS"
	drops = "GARRISON_TEST_DROPS"
)

func TestMain(m *testing.M) {
	if os.Getenv(owned) == "" {
		os.Exit(m.Run())
	}
	if err := own(filepath.SplitList(os.Getenv(owned))); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

func own(dirs []string) error {
	if os.Getenv(drops) != "" {
		for _, command := range []string{"ip link set lo up", "iptables -P FORWARD DROP"} {
			words := strings.Fields(command)
			if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", command, err, out)
			}
		}
	}
	for _, dir := range dirs {
		c, err := containerd.Start(context.Background(), containerd.Config{Dir: dir})
		if err != nil {
			return err
		}
		if err := c.SetPodCIDRs([]netip.Prefix{containerdtest.PodCIDR(dir)}); err != nil {
			return err
		}
		archive := filepath.Join(dir, "busybox.tar")
		if err := containerdtest.WriteArchive(archive, containerdtest.Image); err != nil {
			return err
		}
		if err := c.Import(context.Background(), archive); err != nil {
			return err
		}
	}
	return nil
}

// startOwner starts an agent and returns once it owns all it is to. It is killed
// when the test ends.
func startOwner(t *testing.T, owner *exec.Cmd) {
	t.Helper()
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	owner.Stderr = os.Stderr
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		owner.Process.Kill()
		owner.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the owner says %q: %v", line, err)
	}
}

func endpoint(config containerd.Config) string {
	return "unix://" + config.Dir + "/containerd/containerd.sock"
}

func TestOwnerKilled(t *testing.T) {
	config := containerdtest.NewConfig(t)
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), owned+"="+config.Dir)
	startOwner(t, owner)
	if _, err := containerd.Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Fatalf("a second owner beside the first: got error %v", err)
	}
	client := newClient(t, endpoint(config))
	_, container := client.run(work{name: "a"})
	boots := client.boots(container)
	left := containerdPID(t, config.Dir)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	owner.Wait()
	if !alive(left) {
		t.Error("containerd died with its owner, and with it what containers write")
	}
	c, err := containerd.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	if alive(left) {
		t.Error("the containerd that was left still runs")
	}
	if got := containerdPID(t, config.Dir); got != c.PID() {
		t.Errorf("containerd is process %d, want %d", got, c.PID())
	}
	if got := newClient(t, c.Endpoint()).boots(container); got != boots {
		t.Errorf("the container wrote %q, and before %q: it was started again", got, boots)
	}
}

// Two agents in a network namespace of their own, as on a machine where Docker
// has set the policy that nothing is forwarded: pods reach each other all the
// same.
func TestForwardingIsAllowed(t *testing.T) {
	one, two := containerdtest.NewConfig(t), containerdtest.NewConfig(t)
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), owned+"="+one.Dir+":"+two.Dir, drops+"=1")
	owner.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	startOwner(t, owner)
	here, there := newClient(t, endpoint(one)), newClient(t, endpoint(two))
	here.awaitNetwork()
	there.awaitNetwork()
	server, _ := here.run(work{name: "server", port: freePort(t), command: []string{"sh", "-c", "echo hello >/tmp/index.html; httpd -f -p 80 -h /tmp"}})
	_, visitor := there.run(work{name: "visitor"})
	ip := here.ip(server)
	// Their network must be taken down where it is, before its namespace is gone;
	// and it can be, also after somebody flushed all rules.
	t.Cleanup(func() {
		for _, table := range []string{"nat", "filter"} {
			for _, verb := range []string{"-F", "-X"} {
				flush := exec.Command("nsenter", "--net", "--target", strconv.Itoa(owner.Process.Pid), "iptables", "-t", table, verb)
				if out, err := flush.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		}
		here.removePods()
		there.removePods()
	})
	within(t, "the server answers across the two networks", func() bool {
		out, _, err := there.ExecSync(t.Context(), visitor, []string{"busybox", "timeout", "2", "wget", "-q", "-O", "-", "http://" + ip + "/"}, limit)
		return err == nil && strings.TrimSpace(string(out)) == "hello"
	})
}

// containerdPID finds the process by its arguments.
func containerdPID(t *testing.T, dir string) int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if strings.HasSuffix(string(content), "\x00--config\x00"+dir+"/containerd/config.toml\x00") {
			var pid int
			if _, err := fmt.Sscanf(file, "/proc/%d/cmdline", &pid); err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("no containerd runs in %s", dir)
	return 0
}

// alive says whether a process runs; one that nobody waited for does not.
func alive(pid int) bool {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && len(content) > 0
}

// After the machine was booted the sandboxes are known and dead, and can be
// removed although nothing of them is left: no process, mount, device or rule.
func TestReboot(t *testing.T) {
	config := containerdtest.NewConfig(t)
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), owned+"="+config.Dir)
	owner.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	startOwner(t, owner)
	before := newClient(t, endpoint(config))
	before.awaitNetwork()
	sandbox, _ := before.run(work{name: "a"})

	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	owner.Wait()
	if err := containerd.PowerOff(config); err != nil {
		t.Fatal(err)
	}
	c := containerdtest.StartWith(t, config)
	client := newClient(t, c.Endpoint())
	status, err := client.PodSandboxStatus(t.Context(), sandbox, false)
	if err != nil {
		t.Fatal(err)
	}
	if status.Status.State != runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
		t.Errorf("the sandbox is %v", status.Status.State)
	}
	client.removePods()
	_, container := client.run(work{name: "a"})
	client.exec(container, "true")
}
