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

// writeKubeconfig puts the administrator's access into file and makes it the
// current context. What else the file holds is kept.
func writeKubeconfig(file, url string, keys *pki.Files) error {
	config, err := clientcmd.LoadFromFile(file)
	if os.IsNotExist(err) {
		config, err = clientcmdapi.NewConfig(), nil
	}
	if err != nil {
		return fmt.Errorf("read kubeconfig %s, to add to it: %w", file, err)
	}
	config.Clusters[contextName] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: keys.Authority}
	config.AuthInfos[contextName] = &clientcmdapi.AuthInfo{ClientCertificateData: keys.AdminCert, ClientKeyData: keys.AdminKey}
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
