package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/garrison-project/garrison/internal/server/pki"
)

// controlPlane is the data directory of a server that was there once.
func controlPlane(t *testing.T, url string) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := pki.Ensure(pki.Config{Dir: filepath.Join(dir, "pki"), Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	config := "apiVersion: v1\nkind: Config\nclusters: [{name: garrison, cluster: {server: '" + url + "'}}]\n"
	if err := os.WriteFile(filepath.Join(dir, adminKubeconfig), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestNodeKubeconfig(t *testing.T) {
	dir := controlPlane(t, "https://10.0.0.1:6443")
	file := filepath.Join(t.TempDir(), "node")
	code, stdout, stderr := run("--data-dir", dir, "kubeconfig", "node", "n1", "--node-ip", "10.0.0.2,fd00::2", "-o", file)
	if code != exitOK || stdout != "" || stderr != "" {
		t.Fatalf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %s", err, info.Mode())
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil || config.Host != "https://10.0.0.1:6443" {
		t.Fatalf("leads to %v, %v", config, err)
	}
	code, stdout, stderr = run("--data-dir", dir, "kubeconfig", "node", "n1", "--server", "https://api.example.org")
	if code != exitOK || stderr != "" || !strings.Contains(stdout, "server: https://api.example.org\n") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestNodeKubeconfigWarnsOfALocalAddress(t *testing.T) {
	for url, warns := range map[string]bool{
		"https://127.0.0.1:6443": true, "https://localhost:6443": true, "https://[::1]:6443": true, "https://10.0.0.1:6443": false,
	} {
		code, stdout, stderr := run("--data-dir", controlPlane(t, url), "kubeconfig", "node", "n1")
		if code != exitOK || stdout == "" || strings.HasPrefix(stderr, "warning: "+url+" leads only to this machine") != warns {
			t.Errorf("%s: code %d, stderr %q", url, code, stderr)
		}
	}
}

func TestNodeKubeconfigErrors(t *testing.T) {
	empty, full := t.TempDir(), controlPlane(t, "https://10.0.0.1:6443")
	for _, tc := range []struct {
		dir  string
		args string
		code int
		want string
	}{
		{full, "", exitUsage, "accepts 1 arg(s), received 0"},
		{full, "Node", exitUsage, `error: "Node" cannot be the name of a node: a lowercase RFC 1123 subdomain`},
		{full, "n1 --server 10.0.0.1", exitUsage, `--server: "10.0.0.1" is not a URL such as https://10.0.0.1:6443`},
		{full, "n1 --server http://10.0.0.1", exitUsage, `is not a URL such as`},
		{full, "n1 --node-ip here", exitUsage, "invalid argument"},
		{full, "n1 -o /nowhere/file", exitFailed, "write the kubeconfig: "},
		{empty, "n1", exitFailed, "find the server's address (--server names it): "},
		{empty, "n1 --server https://10.0.0.1", exitFailed,
			"no certificate authority in " + filepath.Join(empty, "pki") + ": start 'garrison up' once, or name its data directory with --data-dir"},
	} {
		args := append([]string{"--data-dir", tc.dir, "kubeconfig", "node"}, strings.Fields(tc.args)...)
		code, stdout, stderr := run(args...)
		if code != tc.code || stdout != "" || !strings.Contains(stderr, tc.want) {
			t.Errorf("%q: code %d, stdout %q, stderr %q; want code %d and %q", tc.args, code, stdout, stderr, tc.code, tc.want)
		}
	}
	if files, err := os.ReadDir(empty); err != nil || len(files) != 0 {
		t.Errorf("made %v, %v", files, err)
	}
}
