package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/garrison-project/garrison/internal/writer"
)

// nodeUserPrefix comes before a node's name in the name of its user.
const nodeUserPrefix = "system:node:"

// RunAgent makes this machine a node of the cluster behind api, which must know it
// as the user of that node, until ctx is done. It calls ready, with the name of
// the node and the address that it serves at, once pods can run. It returns nil if
// it ended because of ctx and ended well; containers go on.
func RunAgent(ctx context.Context, cfg AgentConfig, api *rest.Config, ready func(node, address string)) error {
	if err := cfg.CheckMachine(); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(api)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if cfg, err = identify(ctx, cfg, api, client); err != nil {
		return err
	}
	server, err := serverOf(api)
	if err != nil {
		return err
	}
	own, err := papersOf(api)
	if err != nil {
		return err
	}
	a, err := startAgent(ctx, cfg, nodeAccess{api: api, writer: writer.NewClient(client), server: server, papers: own})
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to end before it was up
		}
		return err
	}
	hail(ctx, a.client)
	err = a.work(ctx, func() { ready(a.cfg.Node.Name, a.address()) })
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, a.stop(stopping))
}

// work waits until the node is ready, however long the API server is away, says so,
// and then until ctx is done or a part has failed.
func (a *nodeAgent) work(ctx context.Context, ready func()) error {
	if err := a.awaitReady(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ready()
	select {
	case <-ctx.Done():
	case <-a.parts.failed:
	}
	return nil
}

// address is where the agent serves.
func (a *nodeAgent) address() string {
	return net.JoinHostPort(a.cfg.BindAddress, strconv.Itoa(a.cfg.Node.Port))
}

// identify finds out which node the credentials are for, and completes cfg with
// it. Credentials of anybody else are refused: the agent could neither register
// nor be trusted with no more than it needs.
func identify(ctx context.Context, cfg AgentConfig, api *rest.Config, client kubernetes.Interface) (AgentConfig, error) {
	user, err := userOf(ctx, api, client)
	if err != nil {
		return cfg, err
	}
	name, isNode := strings.CutPrefix(user, nodeUserPrefix)
	if !isNode {
		return cfg, fmt.Errorf("the kubeconfig is that of user %q and not of a node: make one on the server's machine with 'garrison kubeconfig node NAME'", user)
	}
	if cfg.Node.Name == "" {
		cfg.Node.Name = name
	}
	if cfg.Node.Name != name {
		return cfg, fmt.Errorf("the kubeconfig is that of node %s, not of %s: each node needs its own, made with 'garrison kubeconfig node %s'", name, cfg.Node.Name, cfg.Node.Name)
	}
	return cfg.complete()
}

// serverOf is the host and port of an API server.
func serverOf(api *rest.Config) (string, error) {
	u, _, err := rest.DefaultServerUrlFor(api)
	if err != nil {
		return "", fmt.Errorf("find the API server: %w", err)
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), "443"), nil
	}
	return u.Host, nil
}

// userOf tells who the credentials are for: a certificate says so itself, of a
// token the server knows.
func userOf(ctx context.Context, api *rest.Config, client kubernetes.Interface) (string, error) {
	if certificate, err := clientCertificate(api); err != nil || certificate != nil {
		if err != nil {
			return "", err
		}
		return certificate.Subject.CommonName, nil
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if apierrors.IsUnauthorized(err) {
		return "", errors.New("the server does not accept the credentials of the kubeconfig")
	}
	if err != nil {
		return "", fmt.Errorf("ask the server whose credentials these are: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}

// clientCertificate is that of the kubeconfig, nil if it has none.
func clientCertificate(api *rest.Config) (*x509.Certificate, error) {
	pair, err := keyPair(api)
	if pair == nil || err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("read the certificate of the kubeconfig: %w", err)
	}
	return certificate, nil
}

// keyPair is the certificate of the kubeconfig with its key, nil if it has none.
func keyPair(api *rest.Config) (*tls.Certificate, error) {
	loaded := rest.CopyConfig(api)
	if err := rest.LoadTLSFiles(loaded); err != nil {
		return nil, fmt.Errorf("read the certificate of the kubeconfig: %w", err)
	}
	if len(loaded.CertData) == 0 {
		return nil, nil
	}
	pair, err := tls.X509KeyPair(loaded.CertData, loaded.KeyData)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of the kubeconfig: %w", err)
	}
	return &pair, nil
}
