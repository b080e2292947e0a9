package cluster

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// startEtcd starts an etcd that is no server's own, and returns its URL.
func startEtcd(t *testing.T) string {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.LogLevel = "error"
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	return "http://" + etcd.Clients[0].Addr().String()
}

// runsEverywhere creates a DaemonSet and waits until it runs on both nodes.
func runsEverywhere(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	labels := map[string]string{"app": name}
	set := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "agent"}}},
			},
		},
	}
	sets := client.AppsV1().DaemonSets("default")
	if _, err := sets.Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, name+" runs on both nodes", func(ctx context.Context) (bool, error) {
		got, err := sets.Get(ctx, name, metav1.GetOptions{})
		return err == nil && got.Status.NumberReady == 2, err
	})
}

func TestOfServersOnOneEtcdOneWorks(t *testing.T) {
	etcd := []string{startEtcd(t)}
	dirs := []string{filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")}
	first := startCluster(t, Config{DataDir: dirs[0], EtcdServers: etcd, SimulateNodes: 2})
	// They trust each other's clients and tokens.
	if err := os.CopyFS(filepath.Join(dirs[1], "pki"), os.DirFS(filepath.Join(dirs[0], "pki"))); err != nil {
		t.Fatal(err)
	}
	second := startCluster(t, Config{DataDir: dirs[1], EtcdServers: etcd})
	defer stopCluster(t, second)
	holder := func() string {
		lease, err := second.Client().CoordinationV1().Leases("kube-system").Get(t.Context(), "garrison-server", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return *lease.Spec.HolderIdentity
	}

	runsEverywhere(t, second.Client(), "one")
	before := holder()
	if before == "" {
		t.Error("nobody holds the lease")
	}
	stopCluster(t, first) // which frees the lease
	runsEverywhere(t, second.Client(), "two")
	if after := holder(); after == before {
		t.Errorf("still held by %s, which has ended", after)
	}
}
