package server

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/api/token"
	"github.com/garrison-project/garrison/internal/server/pki"
)

// pkiDir is where a server with the data directory dataDir keeps its keys.
func pkiDir(dataDir string) string { return filepath.Join(dataDir, "pki") }

// ensureKeys makes or renews keys, certificates and the administrator's
// kubeconfig, by the time now.
func (s *Server) ensureKeys(now time.Time) (*pki.Files, error) {
	hosts, err := servingHosts(s.cfg.BindAddress)
	if err != nil {
		return nil, err
	}
	keys, err := pki.Ensure(pki.Config{
		Dir:   pkiDir(s.cfg.DataDir),
		Hosts: hosts,
		Admin: pkix.Name{CommonName: "garrison-admin", Organization: []string{user.SystemPrivilegedGroup}},
		// Agents know an API server by this name.
		Caller: pkix.Name{CommonName: "kube-apiserver-kubelet-client", Organization: []string{user.SystemPrivilegedGroup}},
		Now:    now,
	})
	if err != nil {
		return nil, err
	}
	return keys, adminAccess{s.URL(), keys}.addTo(s.cfg.KubeconfigOut)
}

// newIssuer returns who signs the tokens of service accounts.
func (s *Server) newIssuer() (*token.Issuer, error) {
	key, err := pki.EnsureSigningKey(pkiDir(s.cfg.DataDir))
	if err != nil {
		return nil, err
	}
	return token.NewIssuer(s.cfg.ServiceAccountIssuer, key)
}

// audiences are the names that this server goes by in tokens.
func (s *Server) audiences() authenticator.Audiences {
	return authenticator.Audiences{s.tokens.Name()}
}

// renewKeys keeps certificates fresh until ctx is done. The listener notices by
// itself that the file of the serving certificate has changed.
func (s *Server) renewKeys(ctx context.Context) {
	tick := time.NewTicker(renewInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			_, err := s.ensureKeys(now)
			if err := errors.Join(err, s.renewNodes(now)); err != nil {
				klog.FromContext(ctx).Error(err, "Failed to renew certificates, will try again", "in", renewInterval)
			}
		}
	}
}

// servingHosts lists the names and addresses by which the server is reached
// when it listens on bind.
func servingHosts(bind string) ([]string, error) {
	hosts := []string{
		"localhost", "127.0.0.1", "::1", serviceIP,
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	ip := net.ParseIP(bind)
	if ip == nil {
		return nil, fmt.Errorf("%q is not an IP address to listen on", bind)
	}
	if !ip.IsUnspecified() {
		return append(hosts, bind), nil
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("find this machine's addresses: %w", err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			hosts = append(hosts, n.IP.String())
		}
	}
	return hosts, nil
}
