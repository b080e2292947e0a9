package server

import (
	"crypto/tls"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// A node is the same user over TLS, with its certificate, and in this process.
func TestNodeIdentity(t *testing.T) {
	file, err := shared.NodeCertificate("node-a", net.IPv4(192, 0, 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"node-a", "192.0.2.1"} {
		if err := certificate.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	overTLS := &rest.Config{Host: shared.URL(), TLSClientConfig: rest.TLSClientConfig{
		CAFile: shared.AuthorityFile(), CertFile: file, KeyFile: file}}
	for name, config := range map[string]*rest.Config{"TLS": overTLS, "in process": shared.NodeRESTConfig("node-a")} {
		a := call{path: "/api/v1/namespaces/kube-system/secrets"}.do(t, config)
		if a.code != 403 || !strings.Contains(a.body, `User \"system:node:node-a\" cannot list resource`) {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
}

func TestNodeCertificateIsRenewed(t *testing.T) {
	s := start(t, Config{DataDir: t.TempDir()})
	file, err := s.NodeCertificate("node-a")
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.renewNodes(time.Now().AddDate(0, 11, 0)); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) == string(before) {
		t.Errorf("not renewed, error %v", err)
	}
}

func TestNodeCertificateWantsANodeName(t *testing.T) {
	for _, name := range []string{"", "Node", "../ca"} {
		if file, err := shared.NodeCertificate(name); err == nil || !strings.Contains(err.Error(), "cannot be the name of a node") {
			t.Errorf("%q: %s, %v", name, file, err)
		}
	}
}
