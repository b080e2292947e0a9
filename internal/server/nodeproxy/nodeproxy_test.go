package nodeproxy_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/keyutil"

	"github.com/garrison-project/garrison/internal/server/nodeproxy"
)

// newProxy returns a proxy that knows the nodes given, and believes server.
func newProxy(t *testing.T, server *httptest.Server, nodes ...*corev1.Node) *nodeproxy.Proxy {
	t.Helper()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	key, err := keyutil.MarshalPrivateKeyToPEM(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "own.pem")
	if err := os.WriteFile(file, append(certificate, key...), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := nodeproxy.New(nodeproxy.Options{Authority: certificate, CertFile: file, Node: func(_ context.Context, name string) (*corev1.Node, error) {
		for _, n := range nodes {
			if n.Name == name {
				return n, nil
			}
		}
		return nil, fmt.Errorf("no node %s", name)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func node(name string, port int32, addresses ...corev1.NodeAddress) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{
		Addresses: addresses, DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: port}}}}
}

func TestAddresses(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	inside := corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}
	outside := corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "198.51.100.1"}
	name := corev1.NodeAddress{Type: corev1.NodeHostName, Address: "a.example.com"}
	unused := corev1.NodeAddress{Type: corev1.NodeInternalDNS, Address: "a.internal"}
	simulated := node("simulated", 1, inside)
	simulated.Annotations = map[string]string{"garrison.dev/simulated": "true"}
	p := newProxy(t, server, node("all", 7, unused, name, outside, inside), node("some", 0, name, outside), node("one", 8, name), node("none", 9, unused), node("here", 10, inside), simulated)
	p.SetAddress("here", "127.0.0.1:99")
	for wanted, address := range map[string]string{
		"all": "192.0.2.1:7", "some": "198.51.100.1:10250", "one": "a.example.com:8", "here": "127.0.0.1:99",
	} {
		a, err := p.Agent(t.Context(), wanted)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := net.JoinHostPort(a.Address, a.Port); got != address || a.URL.String() != "https://"+wanted+":"+a.Port {
			t.Errorf("%s is at %s, reached by %s, want %s", wanted, got, a.URL.String(), address)
		}
	}
	for wanted, reason := range map[string]func(error) bool{
		"none": apierrors.IsInternalError, "simulated": apierrors.IsBadRequest, "nobody": func(err error) bool { return err != nil },
	} {
		if _, err := p.Agent(t.Context(), wanted); !reason(err) {
			t.Errorf("%s: %v", wanted, err)
		}
	}
}

// TestClose has a request that the agent never answers.
func TestClose(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	p := newProxy(t, server, node("example.com", 0))
	p.SetAddress("example.com", server.Listener.Addr().String())
	a, err := p.Agent(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	get := func() error {
		request, err := http.NewRequestWithContext(t.Context(), "GET", a.URL.String(), nil)
		if err != nil {
			return err
		}
		response, err := a.Transport.RoundTrip(request)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	go func() { ended <- get() }()
	select {
	case <-asked:
	case err := <-ended:
		t.Fatalf("not answered: %v", err)
	}
	p.Close()
	if err := <-ended; err == nil {
		t.Error("the request was answered")
	}
	if err := get(); err == nil || !strings.Contains(err.Error(), "the server is ending") {
		t.Errorf("a new request: %v", err)
	}
}

func TestAgentIsVerifiedByTheNameOfItsNode(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	p := newProxy(t, server, node("other", 0))
	p.SetAddress("other", server.Listener.Addr().String())
	a, err := p.Agent(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), "GET", a.URL.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Transport.RoundTrip(request)
	if wrong := (x509.HostnameError{}); !errors.As(err, &wrong) {
		t.Errorf("answered: %v", err)
	}
	response, err := a.Unverified.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}
