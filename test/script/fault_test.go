package script

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// site is a control plane and machines, each in a network namespace of its own,
// joined by a switch in yet another. Nothing of the machine under them changes.
type site struct {
	t   *testing.T
	dir string
	// id tells the namespaces of tests apart.
	id    string
	plane *plane
	nodes map[string]*joined
}

// joined is a machine that has joined as a node.
type joined struct {
	*plane
	dir, kubeconfig, ip string
}

const (
	lan        = "10.123.0."
	serverPort = "6443"
)

// newSite starts a control plane that counts nodes as gone after a few seconds.
func newSite(t *testing.T) *site {
	t.Helper()
	needMachine(t)
	dir, err := os.MkdirTemp("/tmp", "garrison-site-")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, id: "gs" + filepath.Base(dir)[len("garrison-site-"):], nodes: map[string]*joined{}}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s.namespace("lan")
	s.must("ip", "-n", s.netns("lan"), "link", "add", "switch", "type", "bridge")
	s.must("ip", "-n", s.netns("lan"), "link", "set", "switch", "up")
	s.attach("server", lan+"1")
	s.plane, err = startPlane(planeConfig{
		args: []string{"server", "--bind-address", lan + "1", "--port", serverPort, "--node-monitor-grace-period", "6s"},
		dir:  dir, env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "GARRISON_DATA_DIR=" + filepath.Join(dir, "server")},
		enter: s.enter("server"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log := s.plane.end(); t.Failed() && log != "" {
			t.Logf("[log of the server]\n%s", log)
		}
	})
	return s
}

func (s *site) netns(name string) string { return s.id + "-" + name }

// enter is the command that runs another in a namespace. Only the network is
// another one: mounts must stay when a process is started anew.
func (s *site) enter(name string) []string {
	return []string{"nsenter", "--net=/run/netns/" + s.netns(name)}
}

func (s *site) must(name string, args ...string) {
	s.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (s *site) namespace(name string) {
	s.t.Helper()
	s.must("ip", "netns", "add", s.netns(name))
	s.t.Cleanup(func() { s.must("ip", "netns", "del", s.netns(name)) })
	s.must("ip", "-n", s.netns(name), "link", "set", "lo", "up")
}

// attach makes a namespace that the switch joins to the others.
func (s *site) attach(name, ip string) {
	s.t.Helper()
	s.namespace(name)
	s.must("ip", "-n", s.netns("lan"), "link", "add", "to-"+name, "type", "veth", "peer", "name", "eth0", "netns", s.netns(name))
	s.must("ip", "-n", s.netns("lan"), "link", "set", "to-"+name, "master", "switch", "up")
	s.must("ip", "-n", s.netns(name), "address", "add", ip+"/24", "dev", "eth0")
	s.must("ip", "-n", s.netns(name), "link", "set", "eth0", "up")
	s.must("ip", "-n", s.netns(name), "route", "add", "default", "via", lan+"1")
}

// cable connects a machine, or pulls its cable.
func (s *site) cable(name, state string) {
	s.t.Helper()
	s.must("ip", "-n", s.netns("lan"), "link", "set", "to-"+name, state)
}

// join makes a machine and starts an agent on it.
func (s *site) join(name string, number int) *joined {
	s.t.Helper()
	n := &joined{dir: filepath.Join(s.dir, name), ip: lan + strconv.Itoa(number)}
	n.kubeconfig = n.dir + ".kubeconfig"
	s.attach(name, n.ip)
	if err := os.MkdirAll(filepath.Join(n.dir, "images"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := makeImage(filepath.Join(n.dir, "images", "busybox.tar"), machineImages...); err != nil {
		s.t.Fatal(err)
	}
	s.must(binary, "kubeconfig", "node", name, "--data-dir", filepath.Join(s.dir, "server"), "--node-ip", n.ip, "-o", n.kubeconfig)
	s.t.Cleanup(func() {
		if n.plane != nil {
			if log := n.end(); s.t.Failed() && log != "" {
				s.t.Logf("[log of the agent %s]\n%s", name, log)
			}
		}
		s.must("nsenter", "--net=/run/netns/"+s.netns(name), binary, "reset", "--data-dir", n.dir, "--pod-logs-dir", filepath.Join(n.dir, "pod-logs"), "--yes")
	})
	s.nodes[name] = n
	s.start(name)
	return n
}

// start starts the agent of a machine.
func (s *site) start(name string) {
	s.t.Helper()
	n := s.nodes[name]
	agent, err := startPlane(planeConfig{
		args: []string{"agent", "--kubeconfig", n.kubeconfig, "--node-name", name, "--node-ip", n.ip,
			"--eviction-hard", "memory.available<50Mi", "--pod-logs-dir", filepath.Join(n.dir, "pod-logs")},
		dir: s.dir, env: []string{"HOME=" + n.dir, "PATH=" + os.Getenv("PATH"), "GARRISON_DATA_DIR=" + n.dir},
		enter: s.enter(name),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	n.plane = agent
}

// kubectl is what a command says, and fails if it fails.
func (s *site) kubectl(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *site) try(args ...string) (string, error) {
	line := append(s.enter("server"), binary, "kubectl", "--kubeconfig", filepath.Join(s.dir, "server", "admin.kubeconfig"))
	out, err := exec.Command(line[0], append(line[1:], args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// eventually waits until a command says what is wanted.
func (s *site) eventually(want string, args ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(glance) {
		out, err := s.try(args...)
		if err == nil && out == want {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("after %v kubectl %s says %q (%v), want %q", patience, strings.Join(args, " "), out, err, want)
		}
	}
}

// container is the ID, the restarts and the pod of what runs on a node.
func (s *site) container(node string) string {
	s.t.Helper()
	return s.kubectl("get", "pods", "--field-selector", "spec.nodeName="+node, "-o",
		"jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{end}")
}

// processes are those that have all words among their arguments.
func processes(words ...string) []int {
	var found []int
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		args := bytes.Split(line, []byte{0})
		matches := 0
		for _, word := range words {
			for _, arg := range args {
				if string(arg) == word {
					matches++
					break
				}
			}
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && matches == len(words) {
			found = append(found, pid)
		}
	}
	return found
}

// only is the one process that has all words among its arguments.
func (s *site) only(words ...string) int {
	s.t.Helper()
	found := processes(words...)
	if len(found) != 1 {
		s.t.Fatalf("%d processes have the arguments %q, want one", len(found), words)
	}
	return found[0]
}

// agents is a DaemonSet whose container has the node's name, and the site's,
// among its arguments. It waits without making processes, which would have the
// same ones for a moment.
func (s *site) agents() string {
	file := filepath.Join(s.dir, "set.yaml")
	manifest := fmt.Sprintf(`apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: busybox:1.36
        command: [sh, -c, 'mkfifo /never; read line </never', %s, $(NODE_NAME)]
        env:
        - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
`, s.id)
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

const (
	readyCount = "jsonpath={.status.numberReady}"
	readiness  = `jsonpath={.status.conditions[?(@.type=="Ready")].status}`
)

// Machines fail in every way, and no container suffers for what happened to an
// agent, to its network or to its runtime.
func TestFaults(t *testing.T) {
	s := newSite(t)
	s.join("east", 2)
	s.join("west", 3)
	s.kubectl("apply", "-f", s.agents())
	s.eventually("2", "get", "daemonset", "agent", "-o", readyCount)
	east, west := s.container("east"), s.container("west")

	t.Run("partition", func(t *testing.T) { s.inside(t).partition(west) })
	t.Run("agent killed", func(t *testing.T) { s.inside(t).agentKilled(east) })
	t.Run("containerd killed", func(t *testing.T) { s.inside(t).runtimeKilled(east) })
	t.Run("container killed", func(t *testing.T) { s.inside(t).containerKilled(east) })
}

// inside is the site for a part of a test.
func (s *site) inside(t *testing.T) *site {
	part := *s
	part.t = t
	return &part
}

// A machine that cannot be reached gets no new pods and keeps those it has.
func (s *site) partition(west string) {
	pid := s.only(s.id, "west")
	s.cable("west", "down")
	s.eventually("Unknown", "get", "node", "west", "-o", readiness)
	s.eventually("node.kubernetes.io/unreachable node.kubernetes.io/unreachable", "get", "node", "west", "-o", "jsonpath={.spec.taints[*].key}")
	s.kubectl("run", "elsewhere", "--image=busybox:1.36", "--", "sleep", "3600")
	s.eventually("east", "get", "pod", "elsewhere", "-o", "jsonpath={.spec.nodeName}")
	s.kubectl("delete", "pod", "elsewhere", "--grace-period=1")
	s.cable("west", "up")
	s.eventually("True", "get", "node", "west", "-o", readiness)
	s.eventually("", "get", "node", "west", "-o", "jsonpath={.spec.taints[*].key}")
	s.eventually("2", "get", "daemonset", "agent", "-o", readyCount)
	if got := s.container("west"); got != west || s.only(s.id, "west") != pid {
		s.t.Errorf("after the partition west runs %s, before it was %s", got, west)
	}
}

// Containers do not notice that the agent is gone, and the next one takes over.
func (s *site) agentKilled(east string) {
	pid := s.only(s.id, "east")
	s.nodes["east"].end()
	s.eventually("Unknown", "get", "node", "east", "-o", readiness)
	if s.only(s.id, "east") != pid {
		s.t.Error("the container has another process, now that the agent is gone")
	}
	s.start("east")
	s.eventually("True", "get", "node", "east", "-o", readiness)
	s.eventually("2", "get", "daemonset", "agent", "-o", readyCount)
	if got := s.container("east"); got != east || s.only(s.id, "east") != pid {
		s.t.Errorf("the next agent runs %s, before it was %s", got, east)
	}
}

// A containerd that dies is started again, and finds its containers.
func (s *site) runtimeKilled(east string) {
	pid := s.only(s.id, "east")
	config := filepath.Join(s.nodes["east"].dir, "agent", "containerd", "config.toml")
	runtime := s.only("--config", config)
	if err := syscall.Kill(runtime, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.kubectl("run", "next", "--image=busybox:1.36", "--overrides", `{"spec":{"nodeName":"east"}}`, "--", "sleep", "3600")
	s.eventually("Running", "get", "pod", "next", "-o", "jsonpath={.status.phase}")
	s.kubectl("delete", "pod", "next", "--grace-period=1")
	s.eventually("True", "get", "node", "east", "-o", readiness)
	if got := s.container("east"); got != east || s.only(s.id, "east") != pid {
		s.t.Errorf("with the next containerd there is %s, before it was %s", got, east)
	}
}

// A container that dies is started again.
func (s *site) containerKilled(string) {
	if err := syscall.Kill(s.only(s.id, "east"), syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("1 137", "get", "pods", "--field-selector", "spec.nodeName=east", "-o",
		"jsonpath={.items[0].status.containerStatuses[0].restartCount} {.items[0].status.containerStatuses[0].lastState.terminated.exitCode}")
	s.eventually("2", "get", "daemonset", "agent", "-o", readyCount)
}
