package cri_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

func reasonOf(err error) string {
	var failure *agent.Failure
	if errors.As(err, &failure) {
		return failure.Reason
	}
	return ""
}

// hostNamespace names a namespace of the test itself.
func hostNamespace(t *testing.T, kind string) string {
	t.Helper()
	name, err := os.Readlink("/proc/self/ns/" + kind)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func (b *box) namespace(id, kind string) string {
	b.t.Helper()
	return b.sh(id, "readlink /proc/self/ns/"+kind)
}

func testNamespaces(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{}, {}]}`)
	one, other := b.start(b.config(0)), b.start(b.config(1))
	for kind, shared := range map[string]bool{"net": true, "ipc": true, "uts": true, "pid": false, "mnt": false} {
		a, b := b.namespace(one, kind), b.namespace(other, kind)
		if a == hostNamespace(t, kind) || (a == b) != shared {
			t.Errorf("%s: %s and %s, shared: want %v", kind, a, b, shared)
		}
	}
}

func testHostNamespaces(t *testing.T, l *lab) {
	b := l.open(t, `{hostNetwork: true, hostPID: true, hostIPC: true}`)
	id := b.start(b.config(0))
	for _, kind := range []string{"net", "pid", "ipc"} {
		if got, want := b.namespace(id, kind), hostNamespace(t, kind); got != want {
			t.Errorf("%s: got %s, want the machine's %s", kind, got, want)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	b.says(id, "hostname; echo $HOSTNAME", host+"\n"+host)
}

func testSharedProcesses(t *testing.T, l *lab) {
	b := l.open(t, `{shareProcessNamespace: true, containers: [{}, {}]}`)
	one, other := b.start(b.config(0)), b.start(b.config(1))
	if a, b := b.namespace(one, "pid"), b.namespace(other, "pid"); a != b || a == hostNamespace(t, "pid") {
		t.Errorf("want one namespace of processes, not %s and %s", a, b)
	}
	if got := b.sh(one, "cat /proc/1/cmdline"); !strings.Contains(got, "pause") {
		t.Errorf("want the sandbox as the first process, not %q", got)
	}
}

func testDebugger(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{}, {name: debugger}]}`)
	target := b.start(b.config(0))
	config := b.config(1)
	config.TargetContainer = target
	debugger := b.start(config)
	if a, b := b.namespace(target, "pid"), b.namespace(debugger, "pid"); a != b {
		t.Errorf("the debugger is in %s, its target in %s", b, a)
	}
}

func testHostPort(t *testing.T, l *lab) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	b := l.open(t, fmt.Sprintf(`{containers: [{ports: [{containerPort: 80, hostPort: %d}]}]}`, port))
	b.start(b.config(0, "sh", "-c", "while :; do echo hello | nc -l -p 80; done"))
	var answer []byte
	eventually(t, "the port of the machine leads to the container", func() bool {
		connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return false
		}
		defer connection.Close()
		if err := connection.SetDeadline(time.Now().Add(time.Second)); err != nil {
			return false
		}
		answer = make([]byte, 6)
		_, err = io.ReadFull(connection, answer)
		return err == nil
	})
	if string(answer) != "hello\n" {
		t.Errorf("got %q", answer)
	}
}

func testMounts(t *testing.T, l *lab) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := l.open(t, ``)
	config := b.config(0)
	config.Mounts = []agent.Mount{
		{HostPath: dir, ContainerPath: "/rw"},
		{HostPath: dir, ContainerPath: "/ro", ReadOnly: true},
		{HostPath: filepath.Join(dir, "file"), ContainerPath: "/etc/one"},
	}
	id := b.start(config)
	b.says(id, "cat /rw/file /ro/file /etc/one; touch /rw/new", "contentcontentcontent")
	if got := b.sh(id, "touch /ro/new 2>&1"); !strings.Contains(got, "Read-only file system") {
		t.Errorf("want a read-only mount: %s", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
}

// mount mounts a file system with one file, until the test ends.
func mount(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func testPropagation(t *testing.T, l *lab) {
	dir := t.TempDir()
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	b := l.open(t, `{containers: [{}, {}, {securityContext: {privileged: true}}]}`)
	var ids []string
	for i, propagation := range []corev1.MountPropagationMode{
		corev1.MountPropagationNone, corev1.MountPropagationHostToContainer, corev1.MountPropagationBidirectional,
	} {
		config := b.config(i)
		config.Mounts = []agent.Mount{{HostPath: dir, ContainerPath: "/m", Propagation: propagation}}
		ids = append(ids, b.start(config))
	}
	mount(t, filepath.Join(dir, "host"))
	for i, want := range []string{"", "file", "file"} {
		b.says(ids[i], "ls /m/host", want)
	}
	b.says(ids[2], "mkdir /m/own && mount -t tmpfs tmpfs /m/own && touch /m/own/file", "")
	if _, err := os.Stat(filepath.Join(dir, "own", "file")); err != nil {
		t.Errorf("what the container mounts is not to be seen: %v", err)
	}
	b.says(ids[1], "ls /m/own", "file")
	b.says(ids[2], "umount /m/own || busybox umount /m/own", "")
}
