package pki

import (
	"crypto/x509/pkix"
	"fmt"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/keyutil"
)

// Machine is what a machine's certificate says: who it is as a client, and by
// which names and addresses it is reached as a server. One certificate serves
// for both.
type Machine struct {
	Subject pkix.Name
	Hosts   []string
}

// Issued is a certificate, its key and the authority that signed it, in PEM.
type Issued struct {
	Certificate, Key, Authority []byte
}

// EnsureMachine makes or renews the certificate of m and returns the file, in
// dir, that holds it and its key. dir must have an authority.
func EnsureMachine(dir, file string, m Machine, now time.Time) (string, error) {
	ca, err := readAuthority(authorityFile(dir), now)
	if err != nil {
		return "", fmt.Errorf("certificate authority: %w", err)
	}
	file = filepath.Join(dir, file)
	_, err = ca.ensure(file, m.template(), now)
	return file, err
}

// IssueMachine makes a certificate of m that is kept nowhere. dir must have an
// authority.
func IssueMachine(dir string, m Machine, now time.Time) (*Issued, error) {
	ca, err := readAuthority(authorityFile(dir), now)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	p, err := ca.make(m.template(), now)
	if err != nil {
		return nil, err
	}
	key, err := keyutil.MarshalPrivateKeyToPEM(p.key)
	return &Issued{Certificate: encode(p.cert), Key: key, Authority: encode(ca.cert)}, err
}

func (m Machine) template() template {
	return template{subject: m.Subject, hosts: m.Hosts, usage: bothUsages}
}
