package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// two is a kubeconfig with two contexts.
const two = `apiVersion: v1
kind: Config
clusters:
- {name: near, cluster: {server: "https://near:6443"}}
- {name: far, cluster: {server: "https://far:6443"}}
contexts:
- {name: near, context: {cluster: near}}
- {name: far, context: {cluster: far}}
current-context: near
`

func TestRemoteChecksItsFlags(t *testing.T) {
	for flags, want := range map[string]string{
		"--kube-api-burst=0":                "--kube-api-burst must be positive",
		"--kube-api-qps=0":                  "--kube-api-qps must not be zero; negative means no limit",
		"--v=-1":                            "-v must not be negative",
		"--leader-elect-retry-period=0s":    "--leader-elect-retry-period must be positive",
		"--leader-elect-retry-period=9s":    "--leader-elect-renew-deadline must be more than 1.2 times --leader-elect-retry-period",
		"--leader-elect-renew-deadline=15s": "--leader-elect-lease-duration must be more than --leader-elect-renew-deadline",
		"--leader-elect-resource-name=":     "--leader-elect-resource-name and --leader-elect-resource-namespace must not be empty",
	} {
		for _, command := range []string{"controller", "scheduler"} {
			code, stdout, stderr := run(command, flags)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, "error: "+want+"\n") {
				t.Errorf("garrison %s %s: code %d, stdout %q, stderr %q; want %q", command, flags, code, stdout, stderr, want)
			}
		}
	}
}

func TestRemoteNeedsAnAPIServer(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "two")
	if err := os.WriteFile(kubeconfig, []byte(two), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--data-dir", dir}, filepath.Join(dir, adminKubeconfig) + " does not exist: start a control plane with 'garrison up'"},
		{[]string{"--kubeconfig", filepath.Join(dir, "none")}, "none: no such file or directory"},
		{[]string{"--kubeconfig", kubeconfig, "--context", "further"}, `context "further" does not exist`},
	} {
		t.Setenv("KUBECONFIG", "") // the command sets it
		code, stdout, stderr := run(append([]string{"controller"}, tc.args...)...)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, "error: find the API server: ") || !strings.Contains(stderr, tc.want) {
			t.Errorf("garrison controller %q: code %d, stdout %q, stderr %q; want %q", tc.args, code, stdout, stderr, tc.want)
		}
	}
}

func TestRemoteReachesTheContext(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "two")
	if err := os.WriteFile(kubeconfig, []byte(two), 0o600); err != nil {
		t.Fatal(err)
	}
	for context, host := range map[string]string{"": "https://near:6443", "far": "https://far:6443"} {
		r := &remote{name: "controller", flags: remoteFlags{kubeconfig: kubeconfig, context: context, qps: 7, burst: 9}}
		api, err := r.reach("unused")
		if err != nil {
			t.Fatal(err)
		}
		if api.Host != host || api.QPS != 7 || api.Burst != 9 || !strings.HasSuffix(api.UserAgent, "/garrison-controller") {
			t.Errorf("context %q: host %s, qps %v, burst %d, user agent %s", context, api.Host, api.QPS, api.Burst, api.UserAgent)
		}
	}
}
