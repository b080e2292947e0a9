package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/garrison-project/garrison/internal/store"
)

// patience bounds the wait for what must come.
const patience = 90 * time.Second

func startCluster(t *testing.T, cfg Config) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stopCluster(t *testing.T, c *Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	select {
	case <-c.parts.ended:
	default:
		t.Error("parts still run")
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestWhatIsStoredOutlivesTheCluster(t *testing.T) {
	cfg := Config{DataDir: filepath.Join(t.TempDir(), "data"), SimulateNodes: 3}
	first := startCluster(t, cfg)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}
	if _, err := first.Client().CoreV1().ConfigMaps("default").Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before, err := first.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(before.Items) != cfg.SimulateNodes {
		t.Fatalf("%d nodes, %v", len(before.Items), err)
	}
	stopCluster(t, first)

	cfg.SimulateNodes++ // one more: the others are adopted, not made anew
	again := startCluster(t, cfg)
	defer stopCluster(t, again)
	if _, err := again.Client().CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	after, err := again.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(after.Items) != cfg.SimulateNodes || after.Items[0].UID != before.Items[0].UID {
		t.Errorf("%d nodes, %v", len(after.Items), err)
	}
}

func TestNamespaceEndsWithAllThatIsInIt(t *testing.T) {
	c := startCluster(t, Config{DataDir: filepath.Join(t.TempDir(), "data"), SimulateNodes: 1})
	defer stopCluster(t, c)
	client := c.Client().CoreV1()
	if _, err := client.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "brief"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec:       corev1.PodSpec{NodeName: "sim-0001", Containers: []corev1.Container{{Name: "main", Image: "busybox:1.36"}}},
	}
	eventually(t, "create a pod", func(ctx context.Context) (bool, error) {
		_, err := client.Pods("brief").Create(ctx, pod, metav1.CreateOptions{})
		return err == nil, ignoreForbidden(err) // until the namespace has its service account
	})
	eventually(t, "the pod runs", func(ctx context.Context) (bool, error) {
		got, err := client.Pods("brief").Get(ctx, "agent", metav1.GetOptions{})
		return err == nil && got.Status.Phase == corev1.PodRunning, err
	})
	if err := client.Namespaces().Delete(t.Context(), "brief", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace is gone", func(ctx context.Context) (bool, error) {
		_, err := client.Namespaces().Get(ctx, "brief", metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}

func ignoreForbidden(err error) error {
	if apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func TestDataDirectoryHasOneUser(t *testing.T) {
	cfg := Config{DataDir: filepath.Join(t.TempDir(), "data")}
	c := startCluster(t, cfg)
	defer stopCluster(t, c)
	other, err := Start(t.Context(), cfg)
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "choose another data directory") {
		t.Errorf("second start: %v", err)
	}
	if other != nil {
		stopCluster(t, other)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	called := 0
	err := Run(ctx, Config{DataDir: filepath.Join(t.TempDir(), "data")}, func(c *Cluster) {
		called++
		if !strings.HasPrefix(c.URL(), "https://127.0.0.1:") {
			t.Errorf("URL %q", c.URL())
		}
		cancel()
	})
	if err != nil || called != 1 {
		t.Errorf("Run: %v, ready called %d times", err, called)
	}
}

func TestRunReportsAPartThatEnds(t *testing.T) {
	ended := errors.New("a part ended")
	err := Run(t.Context(), Config{DataDir: filepath.Join(t.TempDir(), "data")}, func(c *Cluster) {
		c.parts.fail(ended)
	})
	if !errors.Is(err, ended) {
		t.Errorf("Run: %v", err)
	}
}
