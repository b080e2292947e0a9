package server

import (
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/client-go/rest"

	"github.com/garrison-project/garrison/internal/server/node"
	"github.com/garrison-project/garrison/internal/server/pki"
	"github.com/garrison-project/garrison/internal/writer"
)

// nodeMachine is what the certificate of a node says.
func nodeMachine(name string, ips []net.IP) (pki.Machine, error) {
	if problems := validation.NameIsDNSSubdomain(name, false); len(problems) > 0 {
		return pki.Machine{}, fmt.Errorf("%q cannot be the name of a node: %s", name, strings.Join(problems, "; "))
	}
	hosts := []string{name}
	for _, ip := range ips {
		hosts = append(hosts, ip.String())
	}
	u := node.User(name)
	return pki.Machine{
		Subject: pkix.Name{CommonName: u.Name, Organization: u.Groups},
		Hosts:   hosts,
	}, nil
}

// nodeCertificates are those to keep fresh, by the names of their nodes.
type nodeCertificates struct {
	sync.Mutex
	machines map[string]pki.Machine
}

// NodeRESTConfig returns a configuration for the agent of a node that runs in
// this process. Its requests take the way of those of RESTConfig, but may do no
// more than that node.
func (s *Server) NodeRESTConfig(name string) *rest.Config {
	return loopback(&transport{user: node.User(name), handler: s.handler})
}

// NodeWriter returns the short way into the store for the agent of a node that
// runs in this process. Admission knows that it is that node; authorisation is
// not asked, as by Writer.
func (s *Server) NodeWriter(name string) writer.Writer {
	return writer.NewDirect(writer.DirectOptions{Storage: s.served, Admission: s.admit, User: node.User(name)})
}

// NodeCertificate makes the certificate of a node that is reached by its name
// and ips, and returns the file that holds it and its key. It serves towards
// clients and identifies towards servers. The file is renewed while the server
// runs, or when the addresses have changed.
func (s *Server) NodeCertificate(name string, ips ...net.IP) (file string, err error) {
	machine, err := nodeMachine(name, ips)
	if err != nil {
		return "", err
	}
	s.nodes.Lock()
	defer s.nodes.Unlock()
	if s.nodes.machines == nil {
		s.nodes.machines = map[string]pki.Machine{}
	}
	s.nodes.machines[name] = machine
	return s.ensureNode(name, time.Now())
}

// renewNodes renews the certificates made by NodeCertificate.
func (s *Server) renewNodes(now time.Time) error {
	s.nodes.Lock()
	defer s.nodes.Unlock()
	var all error
	for _, name := range slices.Sorted(maps.Keys(s.nodes.machines)) {
		_, err := s.ensureNode(name, now)
		all = errors.Join(all, err)
	}
	return all
}

func (s *Server) ensureNode(name string, now time.Time) (string, error) {
	file, err := pki.EnsureMachine(pkiDir(s.cfg.DataDir), "node-"+name+".pem", s.nodes.machines[name], now)
	if err != nil {
		return "", fmt.Errorf("make the certificate of node %s: %w", name, err)
	}
	return file, nil
}

// AuthorityFile is the file that holds CABundle.
func (s *Server) AuthorityFile() string { return s.keys.AuthorityFile }
