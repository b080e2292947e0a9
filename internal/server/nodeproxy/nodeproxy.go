// Package nodeproxy finds the agents of nodes for the API server, and keeps its
// connections to them and to pods: to whom an agent belongs is verified by its
// certificate, which has the node's name.
//
// What is asked of an agent, and by whom it may be asked, is left to package kinds
// and to authorisation.
package nodeproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/connrotation"

	"github.com/garrison-project/garrison/internal/api/kinds"
)

const (
	// simulatedAnnotation marks a node without a machine.
	simulatedAnnotation = "garrison.dev/simulated"
	// defaultPort is where an agent listens that does not say.
	defaultPort = 10250

	dialTimeout      = 30 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 90 * time.Second
)

// addressTypes are those that a node is reached by, the best first.
var addressTypes = []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP, corev1.NodeHostName}

// Options are what a Proxy works with. All are required.
type Options struct {
	// Node gives a node, or an error of the API.
	Node func(ctx context.Context, name string) (*corev1.Node, error)
	// Authority is that of agents' certificates, in PEM.
	Authority []byte
	// CertFile has the certificate and key that this server shows to agents. It is
	// read for each connection, since it may be renewed.
	CertFile string
}

// Proxy connects to agents and pods until it is closed.
type Proxy struct {
	options Options
	dialer  *connrotation.Dialer
	// verified and unverified lead to agents, pods to pods.
	verified, unverified, pods *http.Transport

	mu sync.Mutex
	// local has the addresses of agents that are not reached by their nodes', by
	// the names of the nodes.
	local  map[string]string
	closed bool
}

// New returns a Proxy that has no connection yet.
func New(o Options) (*Proxy, error) {
	plain := &net.Dialer{Timeout: dialTimeout}
	p := &Proxy{options: o, local: map[string]string{}}
	p.dialer = connrotation.NewDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		if p.isClosed() {
			return nil, errors.New("the server is ending")
		}
		return plain.DialContext(ctx, network, address)
	})
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(o.Authority) {
		return nil, errors.New("connect to agents: the authority of their certificates is none")
	}
	p.verified = newTransport(p.dialAgent, &tls.Config{RootCAs: authorities, GetClientCertificate: p.clientCertificate})
	p.unverified = newTransport(p.dialAgent, &tls.Config{InsecureSkipVerify: true, GetClientCertificate: p.clientCertificate})
	// Nobody says what the certificate of a pod is.
	p.pods = newTransport(p.dialer.DialContext, &tls.Config{InsecureSkipVerify: true})
	return p, nil
}

func newTransport(dial connrotation.DialFunc, config *tls.Config) *http.Transport {
	config.MinVersion = tls.VersionTLS12
	return &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: handshakeTimeout,
		MaxIdleConnsPerHost: 25,
		IdleConnTimeout:     idleTimeout,
	}
}

func (p *Proxy) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(p.options.CertFile, p.options.CertFile)
	return &certificate, err
}

// Pods is the transport to pods, and to ports of nodes that are not their agents'.
func (p *Proxy) Pods() http.RoundTripper { return p.pods }

// SetAddress has the agent of a node dialled at an address, host and port, instead
// of at the node's.
func (p *Proxy) SetAddress(node, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.local[node] = address
}

// Close ends all connections, and makes no new ones.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.dialer.CloseAll()
}

func (p *Proxy) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Agent implements kinds.Agents.
func (p *Proxy) Agent(ctx context.Context, name string) (*kinds.Agent, error) {
	node, err := p.options.Node(ctx, name)
	if err != nil {
		return nil, err
	}
	if node.Annotations[simulatedAnnotation] == "true" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf(
			"node %s is simulated: it has no machine, so its pods have no logs, and nothing can be run in them or connected to", name))
	}
	host, port, err := p.address(node)
	if err != nil {
		return nil, err
	}
	return &kinds.Agent{
		// The name and not the address: it is what the certificate is verified by.
		URL:        url.URL{Scheme: "https", Host: net.JoinHostPort(name, port)},
		Transport:  p.verified,
		Unverified: p.unverified,
		Address:    host,
		Port:       port,
	}, nil
}

// dialAgent connects to the agent of a node, whose name is the host of address.
func (p *Proxy) dialAgent(ctx context.Context, network, address string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	node, err := p.options.Node(ctx, name)
	if err != nil {
		return nil, err
	}
	host, port, err := p.address(node)
	if err != nil {
		return nil, err
	}
	return p.dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
}

// address is where the agent of a node listens.
func (p *Proxy) address(node *corev1.Node) (host, port string, err error) {
	p.mu.Lock()
	local := p.local[node.Name]
	p.mu.Unlock()
	if local != "" {
		return net.SplitHostPort(local)
	}
	n := node.Status.DaemonEndpoints.KubeletEndpoint.Port
	if n <= 0 {
		n = defaultPort
	}
	for _, wanted := range addressTypes {
		for _, a := range node.Status.Addresses {
			if a.Type == wanted {
				return a.Address, strconv.Itoa(int(n)), nil
			}
		}
	}
	return "", "", apierrors.NewInternalError(fmt.Errorf("no preferred addresses found; known addresses: %v", node.Status.Addresses))
}
