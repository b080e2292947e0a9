package apiaccess

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The pod is a network namespace at the end of a veth, behind a bridge that has
// an address, as the CNI plugin makes it. All happens inside a namespace of its
// own, so that nothing of the machine changes.
func TestPodsReachTheServer(t *testing.T) {
	machine := newNamespace(t, "machine")
	c := Config{
		Service: netip.MustParseAddrPort("10.96.0.1:443"),
		Server:  netip.MustParseAddrPort("127.0.0.1:16443"),
		Bridge:  "garrison0",
		Name:    "test",
	}
	if os.Getenv(inside) == "" {
		machine.runThisTest(t)
		return
	}
	must(t, "ip", "link", "set", "lo", "up")
	listen(t, c.Server.String(), "the API server")
	listen(t, "127.0.0.1:15000", "what is for the machine alone")
	if err := Ensure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	pod := newPod(t, c.Bridge)
	// The default route stands for the machine's own network.
	must(t, "ip", "link", "add", "uplink", "type", "bridge")
	must(t, "ip", "link", "set", "uplink", "up")
	must(t, "ip", "route", "add", "default", "dev", "uplink")

	for round := range 2 {
		if got := pod.fetch(c.Service.String()); got != "the API server" {
			t.Errorf("round %d: a pod gets %q from the service", round, got)
		}
		if got := fetch("", c.Service.String()); got != "the API server" {
			t.Errorf("round %d: the host network gets %q from the service", round, got)
		}
		if got := pod.fetch("127.0.0.1:15000"); strings.Contains(got, "machine alone") {
			t.Errorf("round %d: a pod reaches the machine's loopback", round)
		}
		// A second time, as at the next start, after somebody flushed a table.
		must(t, "iptables", "-t", "nat", "-F", "PREROUTING")
		if err := Ensure(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if rules := output(t, "iptables-save"); strings.Count(rules, "-j GARRISON-API-test") != 2 {
		t.Errorf("Ensure added its rules more than once:\n%s", rules)
	}
	// Whoever removes it need not know that it was once told of no bridge.
	anywhere := c
	anywhere.Bridge = ""
	if err := Ensure(t.Context(), anywhere); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Remove(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if rules := output(t, "iptables-save"); strings.Contains(rules, "GARRISON") {
		t.Errorf("Remove left rules behind:\n%s", rules)
	}
}

func TestOnlyIPv4(t *testing.T) {
	err := Ensure(t.Context(), Config{Service: netip.MustParseAddrPort("10.96.0.1:443"), Server: netip.MustParseAddrPort("[::1]:6443")})
	if err == nil || !strings.Contains(err.Error(), "[::1]:6443") {
		t.Errorf("got %v", err)
	}
}

// inside is set where a test runs itself in a namespace.
const inside = "APIACCESS_TEST_INSIDE"

// namespace is a network namespace with a name.
type namespace string

func newNamespace(t *testing.T, name string) namespace {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, program := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: make setup installs it", program)
		}
	}
	if os.Getenv(inside) != "" && name == "machine" {
		return ""
	}
	ns := fmt.Sprintf("garrison-test-%d-%s", os.Getpid(), name)
	must(t, "ip", "netns", "add", ns)
	t.Cleanup(func() { must(t, "ip", "netns", "del", ns) })
	return namespace(ns)
}

func (n namespace) runThisTest(t *testing.T) {
	cmd := exec.Command("ip", "netns", "exec", string(n), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

// newPod makes a namespace with the address 10.88.9.2 behind a bridge with
// 10.88.9.1. It is hostile: it sends what is for loopback to the machine.
func newPod(t *testing.T, bridge string) namespace {
	t.Helper()
	pod := newNamespace(t, "pod")
	must(t, "ip", "address", "add", "10.88.9.1/24", "dev", bridge)
	must(t, "ip", "link", "set", bridge, "up")
	must(t, "ip", "link", "add", "veth-test", "type", "veth", "peer", "name", "eth0", "netns", string(pod))
	must(t, "ip", "link", "set", "veth-test", "master", bridge, "up")
	for _, args := range []string{"address add 10.88.9.2/24 dev eth0", "link set eth0 up", "route add default via 10.88.9.1"} {
		must(t, "ip", append([]string{"-n", string(pod)}, strings.Fields(args)...)...)
	}
	must(t, "ip", "netns", "exec", string(pod), "sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet")
	must(t, "ip", "-n", string(pod), "route", "add", "127.0.0.0/8", "via", "10.88.9.1")
	return pod
}

func (n namespace) fetch(address string) string { return fetch(string(n), address) }

// fetch is what a server says to whoever connects.
func fetch(namespace, address string) string {
	host, port, _ := net.SplitHostPort(address)
	args := []string{"timeout", "3", "busybox", "nc", host, port}
	if namespace != "" {
		args = append([]string{"ip", "netns", "exec", namespace}, args...)
	}
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}

// listen says something to whoever connects, until the test ends.
func listen(t *testing.T, address, says string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, says) // whoever left does not matter
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
}

func must(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
