package cluster

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/component-helpers/node/util"

	"github.com/garrison-project/garrison/internal/agent/containerd/containerdtest"
	"github.com/garrison-project/garrison/internal/agent/node"
)

// as is a client of an API server to which everybody is user.
func as(user string) *fake.Clientset {
	api := fake.NewClientset()
	api.PrependReactor("create", "selfsubjectreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		review := &authenticationv1.SelfSubjectReview{}
		review.Status.UserInfo.Username = user
		return true, review, nil
	})
	return api
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct{ user, name, want string }{
		{"system:node:post", "", "post"},
		{"system:node:post", "post", "post"},
		{"system:node:post", "other", "the kubeconfig is that of node post, not of other: each node needs its own, made with 'garrison kubeconfig node other'"},
		{"garrison:admin", "", `the kubeconfig is that of user "garrison:admin" and not of a node: make one on the server's machine with 'garrison kubeconfig node NAME'`},
	} {
		cfg := AgentConfig{Dir: filepath.Join(t.TempDir(), "agent"), Node: node.Settings{Name: c.name}}
		got, err := identify(t.Context(), cfg, &rest.Config{}, as(c.user))
		if err != nil && err.Error() != c.want || err == nil && got.Node.Name != c.want {
			t.Errorf("%s as node %q: %q, %v; want %s", c.user, c.name, got.Node.Name, err, c.want)
		}
		if err == nil && (got.hostname == "" || len(got.Node.Addresses) == 0 || got.BindAddress != got.Node.Addresses[0].String() || got.Node.StorageDir != cfg.Dir) {
			t.Errorf("incomplete: %+v", got)
		}
	}
}

func TestServerOf(t *testing.T) {
	for host, want := range map[string]string{
		"https://10.0.0.1:6443":      "10.0.0.1:6443",
		"https://api.example.org":    "api.example.org:443",
		"https://[fd00::1]:6443/way": "[fd00::1]:6443",
	} {
		if got, err := serverOf(&rest.Config{Host: host}); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", host, got, err, want)
		}
	}
}

func TestResolve(t *testing.T) {
	for hostPort, want := range map[string]string{"127.0.0.1:6443": "127.0.0.1:6443", "localhost:1": "127.0.0.1:1", "[::1]:6443": "[::1]:6443"} {
		if got, err := resolve(t.Context(), hostPort); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v", hostPort, got, err)
		}
	}
	for _, wrong := range []string{"127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000"} {
		if got, err := resolve(t.Context(), wrong); err == nil {
			t.Errorf("%s: %v", wrong, got)
		}
	}
}

func TestLogsOfOtherPodsStay(t *testing.T) {
	dir := t.TempDir()
	logs := filepath.Join(dir, "pods")
	for _, pod := range []string{"default_ours_uid-1", "default_theirs_uid-2"} {
		if err := os.MkdirAll(filepath.Join(logs, pod, "main"), 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(logs, pod, "main", "0.log")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(linksFolder(logs), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, filepath.Join(linksFolder(logs), pod+".log")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/nowhere", filepath.Join(linksFolder(logs), "foreign.log")); err != nil {
		t.Fatal(err)
	}
	if err := removeLogs(logs, []types.UID{"uid-1"}); err != nil {
		t.Error(err)
	}
	var left []string
	for _, pattern := range []string{filepath.Join(logs, "*"), filepath.Join(linksFolder(logs), "*")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			left = append(left, filepath.Base(path))
		}
	}
	if got, want := strings.Join(left, " "), "default_theirs_uid-2 default_theirs_uid-2.log foreign.log"; got != want {
		t.Errorf("left: %s, want %s", got, want)
	}
}

func TestNothingToReset(t *testing.T) {
	containerdtest.Require(t)
	if err := ResetNode(t.Context(), AgentConfig{Dir: filepath.Join(t.TempDir(), "agent")}); !errors.Is(err, ErrNothingToReset) {
		t.Errorf("reset: %v", err)
	}
}

// TestThisMachineIsANode makes this machine a node, twice, and removes every trace
// of it. What pods do there is told in test/script.
func TestThisMachineIsANode(t *testing.T) {
	containerdtest.Require(t)
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	thresholds, err := node.ParseThresholds("memory.available<1Mi")
	if err != nil {
		t.Fatal(err)
	}
	machine := AgentConfig{
		Dir: filepath.Join(dir, "agent"), ImageFolder: filepath.Join(dir, "images"), ManifestFolder: filepath.Join(dir, "manifests"),
		PodLogs: filepath.Join(dir, "logs", "pods"), BindAddress: "127.0.0.1",
		Node: node.Settings{Name: "here", Addresses: []net.IP{net.IPv4(127, 0, 0, 1)}, PodCIDR: "10.91.7.0/24", MaxPods: 3, Eviction: thresholds},
	}
	cfg := Config{DataDir: filepath.Join(dir, "data"), Agent: &machine}
	t.Cleanup(func() {
		if err := ResetNode(context.Background(), machine); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(machine.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left after the reset: %s, %v", machine.Dir, err)
		}
	})
	var uid types.UID
	for range 2 {
		c := startCluster(t, cfg)
		got, err := c.Client().CoreV1().Nodes().Get(t.Context(), "here", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, ready := util.GetNodeCondition(&got.Status, corev1.NodeReady)
		if ready == nil || ready.Status != corev1.ConditionTrue || got.Spec.PodCIDR != "10.91.7.0/24" || got.Status.Capacity.Pods().Value() != 3 {
			t.Errorf("node %+v, status %+v", got.Spec, got.Status)
		}
		if uid != "" && got.UID != uid {
			t.Error("it is another node after a restart")
		}
		uid = got.UID
		if err := ResetNode(t.Context(), machine); err == nil || !strings.Contains(err.Error(), "another agent that runs has") {
			t.Errorf("reset while it runs: %v", err)
		}
		stopCluster(t, c)
	}
}
