package containerd_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	criapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	cri "k8s.io/cri-client/pkg"

	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/containerd/containerdtest"
)

// limit bounds each call.
const limit = time.Minute

// within waits for a condition, and gives up after a minute.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// client speaks to a containerd.
type client struct {
	t *testing.T
	criapi.RuntimeService
}

func newClient(t *testing.T, endpoint string) client {
	t.Helper()
	service, err := cri.NewRemoteRuntimeServiceBuilder().WithEndpoint(endpoint).WithConnectionTimeout(limit).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close(context.Background()) })
	return client{t: t, RuntimeService: service}
}

// work is a pod with one container. Image and Command have defaults.
type work struct {
	name, image string
	port        int32 // of the machine, for 80 of the pod
	command     []string
}

// run runs a pod.
func (c client) run(w work) (sandbox, container string) {
	c.t.Helper()
	pod := &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: w.name, Namespace: "default", Uid: w.name},
		Hostname:     w.name,
		LogDirectory: c.t.TempDir(),
		Linux:        &runtimeapi.LinuxPodSandboxConfig{},
	}
	if w.port != 0 {
		pod.PortMappings = []*runtimeapi.PortMapping{{ContainerPort: 80, HostPort: w.port, Protocol: runtimeapi.Protocol_TCP}}
	}
	if w.command == nil {
		w.command = loop
	}
	ctx := c.t.Context()
	sandbox, err := c.RunPodSandbox(ctx, pod, "")
	if err != nil {
		c.t.Fatal(err)
	}
	container, err = c.CreateContainer(ctx, sandbox, &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: "main"},
		Image:    &runtimeapi.ImageSpec{Image: cmp.Or(w.image, containerdtest.Image)},
		Command:  w.command,
		LogPath:  "main.log",
		Linux:    &runtimeapi.LinuxContainerConfig{},
	}, pod)
	if err == nil {
		err = c.StartContainer(ctx, container)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return sandbox, container
}

func (c client) removePods() {
	c.t.Helper()
	ctx := context.Background() // the test may have ended
	sandboxes, err := c.ListPodSandbox(ctx, nil)
	for _, sandbox := range sandboxes {
		err = errors.Join(err, c.StopPodSandbox(ctx, sandbox.Id), c.RemovePodSandbox(ctx, sandbox.Id))
	}
	if err != nil {
		c.t.Error(err)
	}
}

func (c client) ip(sandbox string) string {
	c.t.Helper()
	answer, err := c.PodSandboxStatus(c.t.Context(), sandbox, false)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer.Status.Network.Ip
}

// exec runs a command that must succeed.
func (c client) exec(container string, command ...string) string {
	c.t.Helper()
	out, stderr, err := c.ExecSync(c.t.Context(), container, command, limit)
	if err != nil {
		c.t.Fatalf("%q: %v: %s", command, err, stderr)
	}
	return strings.TrimSpace(string(out))
}

// boots is what tells whether a container is the same process as before.
func (c client) boots(container string) string {
	c.t.Helper()
	within(c.t, "the container has written its mark", func() bool {
		_, _, err := c.ExecSync(c.t.Context(), container, []string{"cat", "/tmp/boots"}, limit)
		return err == nil
	})
	return c.exec(container, "cat", "/tmp/boots")
}

func (c client) awaitNetwork() {
	c.t.Helper()
	within(c.t, "the network is ready", func() bool {
		status, err := c.Status(c.t.Context(), false)
		if err != nil {
			c.t.Fatal(err)
		}
		return slices.ContainsFunc(status.Status.Conditions, func(condition *runtimeapi.RuntimeCondition) bool {
			return condition.Type == runtimeapi.NetworkReady && condition.Status
		})
	})
}

var loop = []string{"sh", "-c", "echo $RANDOM-$$ >>/tmp/boots; while :; do sleep 1; done"}

func TestContainersOutliveContainerd(t *testing.T) {
	config := containerdtest.NewConfig(t)
	c := containerdtest.StartWith(t, config)
	client := newClient(t, c.Endpoint())
	sandbox, container := client.run(work{name: "a"})
	boots := client.boots(container)
	same := func(when string) {
		t.Helper()
		if got := client.boots(container); got != boots {
			t.Errorf("%s the container wrote %q, and before %q: it was started again", when, got, boots)
		}
		status, err := client.PodSandboxStatus(t.Context(), sandbox, false)
		if err != nil {
			t.Fatal(err)
		}
		if status.Status.State != runtimeapi.PodSandboxState_SANDBOX_READY {
			t.Errorf("%s the sandbox is %v", when, status.Status.State)
		}
	}
	for range 2 {
		pid := c.PID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		within(t, "containerd is back", func() bool { return c.PID() != 0 && c.PID() != pid })
		if err := c.Failure(); err != nil {
			t.Errorf("it is back, and yet there is a failure: %v", err)
		}
		same("after containerd was killed")
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("stopping once more: %v", err)
	}
	c, err := containerd.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	client = newClient(t, c.Endpoint())
	same("after containerd was stopped and started")
}

// freePort is a port of this machine that nobody listens on.
func freePort(t *testing.T) int32 {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return int32(listener.Addr().(*net.TCPAddr).Port)
}

func TestNetwork(t *testing.T) {
	c := containerdtest.Start(t)
	port := freePort(t)
	client := newClient(t, c.Endpoint())
	server, _ := client.run(work{name: "server", port: port, command: []string{"sh", "-c", "echo hello >/tmp/index.html; httpd -f -p 80 -h /tmp"}})
	_, visitor := client.run(work{name: "visitor"})
	ip := client.ip(server)
	if _, err := netip.ParseAddr(ip); err != nil {
		t.Fatalf("the pod has the address %q: %v", ip, err)
	}
	within(t, "the server answers this machine", func() bool {
		response, err := http.Get("http://" + ip + "/")
		if err == nil {
			response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	})
	if got := client.exec(visitor, "wget", "-q", "-O", "-", "http://"+ip+"/"); got != "hello" {
		t.Errorf("another pod reads %q", got)
	}
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		t.Fatalf("the port of the host: %v", err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the port of the host answers %s", response.Status)
	}
}

// Two agents of one machine have nothing in common.
func TestTwoOnOneMachine(t *testing.T) {
	one, two := containerdtest.Start(t), containerdtest.Start(t)
	first, second := newClient(t, one.Endpoint()), newClient(t, two.Endpoint())
	sandbox, _ := first.run(work{name: "a"})
	taken := netip.PrefixFrom(netip.MustParseAddr(first.ip(sandbox)), 24).Masked()
	if err := two.SetPodCIDRs([]netip.Prefix{taken}); err == nil || !strings.Contains(err.Error(), "device "+one.Bridge()+" has") {
		t.Errorf("the range of one is given to the other: got error %v", err)
	}
	if err := one.SetPodCIDRs([]netip.Prefix{taken}); err != nil {
		t.Errorf("the range is set once more: %v", err)
	}
	other, container := second.run(work{name: "a"})
	if first.ip(sandbox) == second.ip(other) {
		t.Errorf("both pods have the address %s", first.ip(sandbox))
	}
	pid := two.PID()
	if err := one.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.exec(container, "true")
	if two.PID() != pid {
		t.Error("the other containerd was ended too")
	}
}

func TestDestroyLeavesNothing(t *testing.T) {
	config := containerdtest.NewConfig(t)
	c := containerdtest.StartWith(t, config)
	client := newClient(t, c.Endpoint())
	client.run(work{name: "a"})
	client.run(work{name: "b"})
	if err := c.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(config.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if entry.Name() != "busybox.tar" {
			t.Errorf("%s is left", entry.Name())
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), config.Dir) {
		t.Errorf("mounts are left:\n%s", mounts)
	}
	bridges, err := filepath.Glob("/sys/class/net/garr*")
	if err != nil {
		t.Fatal(err)
	}
	for _, bridge := range bridges {
		if filepath.Base(bridge) == c.Bridge() {
			t.Errorf("the bridge %s is left", bridge)
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		if content, err := os.ReadFile(file); err == nil && strings.Contains(string(content), config.Dir) {
			t.Errorf("a process is left: %q", content)
		}
	}
	if rules, err := exec.Command("iptables-save", "-t", "nat").Output(); err == nil && strings.Contains(string(rules), c.Network()) {
		t.Errorf("rules are left:\n%s", rules)
	}
}

// A pod that was begun before there was a network does not keep the rest from going.
func TestDestroyWithoutNetwork(t *testing.T) {
	config := containerdtest.NewConfig(t)
	c, err := containerd.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newClient(t, c.Endpoint()).RunPodSandbox(t.Context(), &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: "early", Namespace: "default", Uid: "early"},
		Linux:    &runtimeapi.LinuxPodSandboxConfig{},
	}, "")
	if err == nil {
		t.Fatal("a pod has a network that nobody configured")
	}
	if err := c.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
}

// Some file systems cannot hold the upper half of an overlay.
func TestNoOverlays(t *testing.T) {
	config := containerdtest.NewConfig(t)
	memory := filepath.Join(config.Dir, "memory")
	if err := os.Mkdir(memory, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("ramfs", memory, "ramfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(memory, unix.MNT_DETACH) })
	config.Dir = filepath.Join(memory, "agent")
	c := containerdtest.StartWith(t, config)
	t.Cleanup(func() {
		if err := c.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	client := newClient(t, c.Endpoint())
	_, container := client.run(work{name: "a"})
	client.exec(container, "touch", "/written")
	if mounts := client.exec(container, "cat", "/proc/mounts"); strings.HasPrefix(mounts, "overlay / ") {
		t.Error("the container has an overlay, so this was no test")
	}
}

// The kernel allows sockets no long names.
func TestLongFolder(t *testing.T) {
	config := containerdtest.NewConfig(t)
	config.Dir = filepath.Join(config.Dir, strings.Repeat("long", 30))
	c, err := containerd.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.Socket(), "/run/garrison/") {
		t.Errorf("its socket is %s", c.Socket())
	}
	if err := c.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(c.Socket())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the socket is left: %v", err)
	}
}

// A containerd that cannot work is told of, with what it says.
func TestContainerdThatFails(t *testing.T) {
	config := containerdtest.NewConfig(t)
	programs, err := containerd.Find(containerd.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "containerd")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = --version ] && exec %s --version\necho containerd: out of order >&2\nexit 3\n", programs.Containerd)
	if err := os.WriteFile(broken, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	config.ContainerdPath = broken
	_, err = containerd.Start(t.Context(), config)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("got error %v", err)
	}
}
