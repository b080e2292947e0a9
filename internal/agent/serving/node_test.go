package serving_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/component-base/metrics"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/machine"
	"github.com/garrison-project/garrison/internal/agent/serving"
	"github.com/garrison-project/garrison/internal/agent/volume"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// node is an agent's server with pods and a runtime of the tests.
type node struct {
	t       *testing.T
	url     string
	pods    *pods
	allowed map[string]bool // "USER VERB SUBRESOURCE"
	ca      authority
	server  *serving.Server
	// measured counts how often volumes were.
	measured atomic.Int32
	sick     atomic.Pointer[error] // what the agent's own check says
	stop     func()
}

// root may do all.
const root = "root"

func startNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t, pods: &pods{}, allowed: map[string]bool{}, ca: newAuthority(t)}
	certificate := n.ca.issue(t, "post")
	server, err := serving.New(serving.Options{
		NodeName:        "post",
		Certificate:     func() (*tls.Certificate, error) { return &certificate, nil },
		ClientAuthority: n.ca.pem,
		Client:          n.client(),
		Pods:            n.pods,
		Runtime:         startRuntime(t),
		Machine:         machine.Open("/"),
		Volumes:         volumes{n},
		StorageDir:      "/",
		ImageDir:        "/",
		Metrics:         []metrics.Gatherer{ownMetrics()},
		Probes: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "probes of the node")
		}),
		Configuration: map[string]int{"maxPods": 110},
		Checks: []healthz.HealthChecker{healthz.NamedCheck("syncloop", func(*http.Request) error {
			if sick := n.sick.Load(); sick != nil {
				return *sick
			}
			return nil
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.server = server
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.url = "https://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the server does not end")
		}
	})
	t.Cleanup(n.stop)
	return n
}

// ownMetrics are an agent's own.
func ownMetrics() metrics.Gatherer {
	registry := metrics.NewKubeRegistry()
	number := metrics.NewGauge(&metrics.GaugeOpts{Name: "kubelet_test", Help: "Seven."})
	registry.MustRegister(number)
	number.Set(7)
	return registry
}

// client is that of an API server which knows tokens such as ada-token, and is
// asked about the node alone.
func (n *node) client() kubernetes.Interface {
	server := httptest.NewServer(http.HandlerFunc(n.review))
	n.t.Cleanup(server.Close)
	return kubernetes.NewForConfigOrDie(&rest.Config{Host: server.URL, QPS: -1})
}

func (n *node) review(w http.ResponseWriter, r *http.Request) {
	var answer any
	switch path.Base(r.URL.Path) {
	case "tokenreviews":
		var review authenticationv1.TokenReview
		decode(n.t, r, &review)
		name, ok := strings.CutSuffix(review.Spec.Token, "-token")
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: ok, User: authenticationv1.UserInfo{Username: name}}
		answer = review
	case "subjectaccessreviews":
		var review authorizationv1.SubjectAccessReview
		decode(n.t, r, &review)
		wanted := review.Spec.ResourceAttributes
		if wanted.Resource != "nodes" || wanted.Name != "post" {
			n.t.Errorf("asked about %v", wanted)
		}
		review.Status.Allowed = review.Spec.User == root || n.allowed[review.Spec.User+" "+wanted.Verb+" "+wanted.Subresource]
		answer = review
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		n.t.Error(err)
	}
}

func decode(t *testing.T, r *http.Request, into any) {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		t.Error(err)
	}
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "authority"}, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := cert.EncodeCertificates(certificate)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key, encoded}
}

func (a authority) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

// get is a request of a user with a token; nobody has none.
func (n *node) get(user, path string) (code int, body string) {
	n.t.Helper()
	return n.do(user, "GET", path, nil)
}

func (n *node) do(user, method, path string, certificates []tls.Certificate) (code int, body string) {
	n.t.Helper()
	request, err := http.NewRequestWithContext(n.t.Context(), method, n.url+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	if user != "" {
		request.Header.Set("Authorization", "Bearer "+user+"-token")
	}
	authorities := x509.NewCertPool()
	authorities.AddCert(n.ca.certificate)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities, ServerName: "post", Certificates: certificates}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// volumes are two for each pod, on disk and in memory.
type volumes struct{ n *node }

func (v volumes) Usage(context.Context, *corev1.Pod) ([]volume.Usage, error) {
	v.n.measured.Add(1)
	return []volume.Usage{
		{Name: "cache", Used: 1000, InodesUsed: 3, Capacity: 1 << 30, Available: 1 << 20, Inodes: 99, InodesFree: 9},
		{Name: "scratch", Used: 500, InodesUsed: 2, Memory: true},
		{Name: "config", Used: 20, InodesUsed: 1},
		{Name: "secret", Used: 7, InodesUsed: 1},
	}, nil
}

// pods are those of the machine.
type pods struct {
	mu   sync.Mutex
	list []agent.Found
}

func (p *pods) add(f agent.Found) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.Holding.Pod = agent.PodName{NamespacedName: types.NamespacedName{Namespace: f.Object.Namespace, Name: f.Object.Name}, UID: f.Object.UID}
	p.list = append(p.list, f)
}

// end has all containers of all pods end.
func (p *pods) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.list {
		ended := make([]agent.ContainerRecord, 0, len(f.Holding.Containers))
		for _, c := range f.Holding.Containers {
			c.State = podstep.Exited
			ended = append(ended, c)
		}
		p.list[i].Holding.Containers = ended
	}
}

func (p *pods) Find(name types.NamespacedName, uid types.UID) (agent.Found, bool) {
	for _, f := range p.All() {
		if f.Object.Namespace == name.Namespace && f.Object.Name == name.Name && (uid == "" || uid == f.Object.UID) {
			return f, true
		}
	}
	return agent.Found{}, false
}

func (p *pods) All() []agent.Found {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]agent.Found(nil), p.list...)
}

func podOf(name string, containers ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name + "-uid")}}
	for _, c := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: c, TTY: c == "terminal"})
	}
	return pod
}

func record(name string, attempt int, state podstep.ContainerState) agent.ContainerRecord {
	return agent.ContainerRecord{Record: podstep.Record{ID: fmt.Sprintf("%s-%d", name, attempt), Name: name, Attempt: attempt, State: state}}
}
