package cri_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/garrison-project/garrison/internal/agent"
)

// TestContainers asks containers themselves whether they got what pods ask for.
func TestContainers(t *testing.T) {
	l := newLab(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *lab)
	}{
		{"process", testProcess},
		{"terminal", testTerminal},
		{"user", testUser},
		{"capabilities", testCapabilities},
		{"privileged", testPrivileged},
		{"read-only-root", testReadOnlyRoot},
		{"no-new-privileges", testNoNewPrivileges},
		{"seccomp", testSeccomp},
		{"non-root", testNonRoot},
		{"proc", testProc},
		{"sysctls", testSysctls},
		{"namespaces", testNamespaces},
		{"host-namespaces", testHostNamespaces},
		{"shared-processes", testSharedProcesses},
		{"debugger", testDebugger},
		{"limits", testLimits},
		{"out-of-memory", testOutOfMemory},
		{"host-port", testHostPort},
		{"mounts", testMounts},
		{"propagation", testPropagation},
		{"message", testTerminationMessage},
		{"foreign-message", testForeignMessage},
		{"log", testLog},
		{"rotation", testRotation},
		{"output", testOutput},
		{"stats", testStats},
		{"streams", testStreams},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, l) })
	}
}

func testProcess(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{workingDir: /tmp}]}`)
	config := b.config(0)
	config.Env = []agent.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "two words"}}
	id := b.start(config)
	b.says(id, "echo $A $B; pwd; hostname; echo $HOSTNAME", "1 two words\n/tmp\nbox\nbox")
	b.says(id, "cat /etc/resolv.conf", "search cri.svc\nnameserver 192.0.2.53\noptions ndots:5")
}

func testTerminal(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{tty: true, stdin: true}, {}]}`)
	with, without := b.start(b.config(0)), b.start(b.config(1))
	if got := b.sh(with, "readlink /proc/1/fd/0"); !strings.HasPrefix(got, "/dev/pts") && got != "/dev/console" {
		t.Errorf("want a terminal, not %s", got)
	}
	b.says(without, "readlink /proc/1/fd/0", "/dev/null")
}

func testUser(t *testing.T, l *lab) {
	b := l.open(t, `{securityContext: {runAsUser: 1000, runAsGroup: 1001, fsGroup: 2000, supplementalGroups: [3000, 3001]},
		containers: [{}, {securityContext: {runAsUser: 1005}}]}`)
	b.says(b.start(b.config(0)), "id -u; id -g; grep Groups /proc/self/status | sed 's/Groups:.//'", "1000\n1001\n1001 2000 3000 3001")
	b.says(b.start(b.config(1)), "id -u", "1005")
}

// capability tells whether a container's process has a capability.
func (b *box) capability(id string, number int) bool {
	b.t.Helper()
	set, err := strconv.ParseUint(strings.TrimPrefix(b.sh(id, "grep CapEff: /proc/self/status"), "CapEff:\t"), 16, 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return set&(1<<number) != 0
}

// Numbers of capabilities.
const (
	capChown    = 0
	capNetAdmin = 12
	capSysAdmin = 21
)

func testCapabilities(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{}, {securityContext: {capabilities: {add: [NET_ADMIN], drop: [ALL]}}}]}`)
	usual, changed := b.start(b.config(0)), b.start(b.config(1))
	if !b.capability(usual, capChown) || b.capability(usual, capNetAdmin) {
		t.Error("want CHOWN and not NET_ADMIN by default")
	}
	if b.capability(changed, capChown) || !b.capability(changed, capNetAdmin) {
		t.Error("want NET_ADMIN and not CHOWN where that is asked for")
	}
}

func testPrivileged(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{securityContext: {privileged: true}}, {}]}`)
	privileged, usual := b.start(b.config(0)), b.start(b.config(1))
	if !b.capability(privileged, capSysAdmin) || b.capability(usual, capSysAdmin) {
		t.Error("want SYS_ADMIN for the privileged container alone")
	}
	if seen := b.sh(privileged, "ls /dev | wc -l"); seen == b.sh(usual, "ls /dev | wc -l") {
		t.Errorf("the privileged container sees no more devices: %s", seen)
	}
}

func testReadOnlyRoot(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{securityContext: {readOnlyRootFilesystem: true}}, {}]}`)
	if got := b.sh(b.start(b.config(0)), "touch /file 2>&1"); !strings.Contains(got, "Read-only file system") {
		t.Errorf("want a read-only root: %s", got)
	}
	b.says(b.start(b.config(1)), "touch /file", "")
}

func testNoNewPrivileges(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{securityContext: {allowPrivilegeEscalation: false}}, {}]}`)
	b.says(b.start(b.config(0)), "grep NoNewPrivs /proc/1/status", "NoNewPrivs:\t1")
	b.says(b.start(b.config(1)), "grep NoNewPrivs /proc/1/status", "NoNewPrivs:\t0")
}

// denyMkdir is a seccomp profile that lets everything pass but one thing.
const denyMkdir = `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}`

func testSeccomp(t *testing.T, l *lab) {
	if err := os.MkdirAll(l.options.SeccompDirectory, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.options.SeccompDirectory, "mkdir.json"), []byte(denyMkdir), 0o644); err != nil {
		t.Fatal(err)
	}
	b := l.open(t, `{securityContext: {seccompProfile: {type: RuntimeDefault}}, containers: [
		{}, {securityContext: {seccompProfile: {type: Unconfined}}},
		{securityContext: {seccompProfile: {type: Localhost, localhostProfile: mkdir.json}}}]}`)
	b.says(b.start(b.config(0)), "grep Seccomp: /proc/1/status; mkdir /d && echo made", "Seccomp:\t2\nmade")
	b.says(b.start(b.config(1)), "grep Seccomp: /proc/1/status", "Seccomp:\t0")
	if got := b.sh(b.start(b.config(2)), "mkdir /d 2>&1"); !strings.Contains(got, "Operation not permitted") {
		t.Errorf("want the profile to forbid mkdir: %s", got)
	}
}

func testNonRoot(t *testing.T, l *lab) {
	b := l.open(t, `{securityContext: {runAsNonRoot: true}, containers: [{}, {securityContext: {runAsUser: 1000}}]}`)
	_, err := b.StartContainer(t.Context(), b.config(0))
	want := fmt.Sprintf(`container has runAsNonRoot and image will run as root (pod: "non-root_cri(%s)", container: c0)`, b.pod.UID)
	if err == nil || err.Error() != want || reasonOf(err) != "CreateContainerConfigError" {
		t.Errorf("want %q, not %v", want, err)
	}
	b.says(b.start(b.config(1)), "id -u", "1000")
}

func testProc(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{}, {securityContext: {procMount: Unmasked}}]}`)
	const readOnly = "grep -c ' /proc/sys .*ro,' /proc/self/mounts"
	b.says(b.start(b.config(0)), readOnly, "1")
	b.says(b.start(b.config(1)), readOnly+" || true", "0")
}

func testSysctls(t *testing.T, l *lab) {
	b := l.open(t, `{securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "77"}]}}`)
	b.says(b.start(b.config(0)), "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "77")
}
