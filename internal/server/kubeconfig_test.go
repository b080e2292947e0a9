package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/garrison-project/garrison/internal/server/pki"
)

var testKeys = &pki.Files{Authority: []byte("ca"), AdminCert: []byte("cert"), AdminKey: []byte("key")}

func TestKubeconfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "config")
	for _, url := range []string{"https://127.0.0.1:1", "https://127.0.0.1:2"} {
		if err := (adminAccess{url, testKeys}).addTo(file); err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.LoadFromFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := config.Clusters[config.Contexts[config.CurrentContext].Cluster].Server; got != url {
			t.Errorf("leads to %s, want %s", got, url)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %s", err, info.Mode())
	}
}

func TestKubeconfigKeepsOtherClusters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	const others = `
apiVersion: v1
kind: Config
clusters: [{name: work, cluster: {server: "https://work.example.org"}}]
users: [{name: me, user: {token: secret}}]
contexts: [{name: work, context: {cluster: work, user: me}}]
current-context: work
`
	if err := os.WriteFile(file, []byte(others), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (adminAccess{"https://127.0.0.1:1", testKeys}).addTo(file); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if config.CurrentContext != contextName || config.Clusters["work"].Server != "https://work.example.org" || config.AuthInfos["me"].Token != "secret" {
		t.Errorf("%v", config)
	}
}

func TestKubeconfigThatCannotBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(file, []byte("milk, bread"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (adminAccess{"https://127.0.0.1:1", testKeys}).addTo(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "milk, bread" {
		t.Errorf("the file was changed: %q, %v", data, err)
	}
}
