package server

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/garrison-project/garrison/internal/server/pki"
)

// contextName is the name of our cluster, user and context in a kubeconfig.
const contextName = "garrison"

// access is how the administrator reaches the server.
type access struct {
	url  string
	keys *pki.Files
}

// addTo puts the access into a kubeconfig file and makes it the current
// context. What else the file holds is kept.
func (a access) addTo(file string) error {
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
