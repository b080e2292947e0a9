package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/garrison-project/garrison/internal/server/pki"
)

// contextName is the name of our cluster, user and context in a kubeconfig.
const contextName = "garrison"

// adminAccess is how the administrator reaches the server.
type adminAccess struct {
	url  string
	keys *pki.Files
}

// addTo puts the access into a kubeconfig file and makes it the current
// context. What else the file holds is kept.
func (a adminAccess) addTo(file string) error {
	config, err := clientcmd.LoadFromFile(file)
	if os.IsNotExist(err) {
		config, err = clientcmdapi.NewConfig(), nil
	}
	if err != nil {
		return fmt.Errorf("read kubeconfig %s, to add to it: %w", file, err)
	}
	config.Clusters[contextName] = &clientcmdapi.Cluster{Server: a.url, CertificateAuthorityData: a.keys.Authority}
	config.AuthInfos[contextName] = &clientcmdapi.AuthInfo{ClientCertificateData: a.keys.AdminCert, ClientKeyData: a.keys.AdminKey}
	config.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: contextName}
	config.CurrentContext = contextName
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode kubeconfig: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	if err := pki.WriteFile(file, data); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// NodeAccess is how the agent of a node on another machine is to reach a server.
type NodeAccess struct {
	// DataDir is the server's, which need not run.
	DataDir string
	// URL is where the agent finds the server.
	URL string
	// Name is the node's.
	Name string
	// IPs are the addresses by which the node is reached, beside its name.
	IPs []net.IP
}

// ErrNoAuthority says that a data directory has no certificate authority yet.
var ErrNoAuthority = errors.New("no certificate authority")

// Kubeconfig makes a kubeconfig with a certificate of the node, which the agent
// also serves with.
func (a NodeAccess) Kubeconfig(now time.Time) ([]byte, error) {
	machine, err := nodeMachine(a.Name, a.IPs)
	if err != nil {
		return nil, err
	}
	issued, err := pki.IssueMachine(pkiDir(a.DataDir), machine, now)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNoAuthority, pkiDir(a.DataDir))
	}
	if err != nil {
		return nil, fmt.Errorf("make the certificate of node %s: %w", a.Name, err)
	}
	user := machine.Subject.CommonName
	config := clientcmdapi.NewConfig()
	config.Clusters[contextName] = &clientcmdapi.Cluster{Server: a.URL, CertificateAuthorityData: issued.Authority}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: issued.Certificate, ClientKeyData: issued.Key}
	config.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: user}
	config.CurrentContext = contextName
	return clientcmd.Write(*config)
}

// KnownURL reads where a server is reached from the kubeconfig of its
// administrator.
func KnownURL(kubeconfig string) (string, error) {
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return "", err
	}
	cluster := config.Clusters[contextName]
	if cluster == nil {
		return "", fmt.Errorf("%s has no cluster %q", kubeconfig, contextName)
	}
	return cluster.Server, nil
}
