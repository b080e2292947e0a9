package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/garrison-project/garrison/internal/store"
)

func TestFirstObjects(t *testing.T) {
	client := adminClient(t, shared)
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		ns, err := client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || ns.Status.Phase != corev1.NamespaceActive {
			t.Errorf("namespace %s: %v, phase %q", name, err, ns.Status.Phase)
		}
	}
	service, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	port := service.Spec.Ports[0]
	if service.Spec.ClusterIP != "10.96.0.1" || port.Port != 443 || port.TargetPort.IntValue() != shared.port() {
		t.Errorf("service default/kubernetes: %v", service.Spec)
	}
}

func TestClientsOverBothTransports(t *testing.T) {
	ns := namespace(t)
	for name, client := range map[string]kubernetes.Interface{"tls": adminClient(t, shared), "memory": shared.Client()} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			maps := client.CoreV1().ConfigMaps(ns)
			list, err := maps.List(ctx, metav1.ListOptions{})
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
			if err != nil {
				t.Fatalf("watch: %v", err)
			}
			defer w.Stop()
			created, err := maps.Create(ctx, configMap(name), metav1.CreateOptions{})
			if err != nil {
				t.Fatalf("create: %v", err)
			}
			if e := <-w.ResultChan(); e.Object.(*corev1.ConfigMap).UID != created.UID {
				t.Errorf("watch: got %s of %v, want %s", e.Type, e.Object, created.Name)
			}
			if got, err := maps.Get(ctx, created.Name, metav1.GetOptions{}); err != nil || got.UID != created.UID {
				t.Errorf("get: %v, %v", got, err)
			}
		})
	}
}

// An in-process watch ends on the server when its client stops it, though no
// connection breaks.
func TestStoppedWatchLeavesTheServer(t *testing.T) {
	ns := namespace(t)
	ended := make(chan struct{})
	inner := shared.rest.Transport.(*transport).handler
	config := shared.RESTConfig()
	config.Transport = &transport{user: self, handler: endOfRequest{inner, ended}}
	w, err := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps(ns).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Stop()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the watch is still being served")
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	cfg := Config{DataDir: t.TempDir()}
	first, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	created, err := first.Client().CoreV1().ConfigMaps("default").Create(t.Context(), configMap("a"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	old := adminConfig(t, first)
	if err := first.Shutdown(); err != nil {
		t.Fatalf("shutdown: %v", err)
	}

	second := start(t, cfg)
	got, err := adminClient(t, second).CoreV1().ConfigMaps("default").Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || got.UID != created.UID || got.ResourceVersion != created.ResourceVersion {
		t.Errorf("after the restart: %v, %v; want %v", got, err, created)
	}
	old.Host = second.URL()
	if a := (call{path: "/version"}).do(t, old); a.code != 200 {
		t.Errorf("the certificate from before the restart: %d %s", a.code, a.body)
	}
	service, err := second.Client().CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || service.Spec.Ports[0].TargetPort.IntValue() != second.port() {
		t.Errorf("service default/kubernetes does not lead to the new port %d: %v, %v", second.port(), service, err)
	}
}

// childDir names the data directory to a child process that is to be killed.
const childDir = "GARRISON_TEST_CHILD_DIR"

// writeForEver runs in the child: it serves, creates ConfigMaps and prints the
// name of each that was acknowledged.
func writeForEver(dir string) {
	ctx := context.Background()
	s, err := Start(ctx, Config{DataDir: dir})
	for i := 0; err == nil; i++ {
		name := fmt.Sprint("a", i)
		if _, err = s.Client().CoreV1().ConfigMaps("default").Create(ctx, configMap(name), metav1.CreateOptions{}); err == nil {
			fmt.Println(name)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	for buffer := make([]byte, 4096); len(acknowledged) < 50; {
		n, err := out.Read(buffer)
		if err != nil {
			t.Fatalf("the child ended: %v", err)
		}
		lines := strings.SplitAfter(string(buffer[:n]), "\n")
		for _, l := range lines {
			if strings.HasSuffix(l, "\n") {
				acknowledged = append(acknowledged, strings.TrimSpace(l))
			}
		}
	}
	if err := child.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	child.Wait() // its error is the kill

	s := start(t, Config{DataDir: dir})
	for _, name := range acknowledged {
		if _, err := s.Client().CoreV1().ConfigMaps("default").Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Errorf("acknowledged before the kill: %v", err)
		}
	}
}

func TestShutdownWithOpenWatches(t *testing.T) {
	s, err := Start(t.Context(), Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []kubernetes.Interface{s.Client(), adminClient(t, s)} {
		for range 50 {
			w, err := client.CoreV1().Pods("").Watch(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
		}
	}
	s.Informers().Core().V1().Pods().Informer()
	s.Informers().Start(t.Context().Done())
	began := time.Now()
	if err := s.Shutdown(); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("shutdown took %s", took)
	}
	select {
	case <-s.Done():
	default:
		t.Error("not done after shutdown")
	}
}

func TestStartRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.MkdirAll(filepath.Join(damaged, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "pki", "ca.pem"), []byte("garbled"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  Config
		is   error
		says string
	}{
		"a port in use":             {Config{DataDir: t.TempDir(), Port: port}, syscall.EADDRINUSE, "port " + strconv.Itoa(port) + " of 127.0.0.1 is in use by another process"},
		"a directory in use":        {Config{DataDir: shared.cfg.DataDir}, store.ErrLocked, "(pid " + strconv.Itoa(os.Getpid()) + ")"},
		"a file for a directory":    {Config{DataDir: file}, syscall.ENOTDIR, file},
		"an address that is a name": {Config{DataDir: t.TempDir(), BindAddress: "localhost"}, nil, `"localhost" is not an IP address`},
		"a damaged authority":       {Config{DataDir: damaged}, nil, "ca.pem is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Start(t.Context(), c.cfg)
			if err == nil {
				s.Shutdown()
				t.Fatal("started")
			}
			if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %q, want it to say %q", err, c.says)
			}
		})
	}
}
