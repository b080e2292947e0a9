// Package pki makes and keeps the keys and certificates of a control plane: its
// authority, the certificate it serves with, and the administrator's. All are
// ECDSA, made at first start, used again later, and renewed before they expire.
//
// Who may do what with a certificate is left to package server.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// A certificate is renewed in the last third of its life.
	certificateLife = 365 * 24 * time.Hour
	// Clocks of other machines may be a little behind.
	backdated = 5 * time.Minute
)

// Config says what is wanted.
type Config struct {
	// Dir is where the files lie; it is created if need be.
	Dir string
	// Hosts are the names and addresses that clients reach the server by.
	Hosts []string
	// Admin is the subject of the administrator's certificate.
	Admin pkix.Name
	// Now is the time by which certificates are judged.
	Now time.Time
}

// Files are the keys and certificates of a control plane.
type Files struct {
	// Authority is the certificate that clients trust, in PEM.
	Authority []byte
	// AuthorityFile holds the same.
	AuthorityFile string
	// ServingFile holds the serving certificate and its key.
	ServingFile string
	// AdminCert and AdminKey are the administrator's, in PEM.
	AdminCert, AdminKey []byte
}

// Ensure makes what is missing and renews what is about to expire or no longer
// fits. An authority that is there but cannot be read is an error: a new one
// would lock out everyone who trusts the old.
func Ensure(c Config) (*Files, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory of keys: %w", err)
	}
	ca, err := ensureAuthority(filepath.Join(c.Dir, "ca.pem"), c.Now)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	f := &Files{
		Authority:     encode(ca.cert),
		AuthorityFile: filepath.Join(c.Dir, "ca.crt"),
		ServingFile:   filepath.Join(c.Dir, "serving.pem"),
	}
	if err := WriteFile(f.AuthorityFile, f.Authority); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	serving := template{
		subject: pkix.Name{CommonName: "garrison"},
		hosts:   c.Hosts,
		usage:   x509.ExtKeyUsageServerAuth,
	}
	if _, err := ca.ensure(f.ServingFile, serving, c.Now); err != nil {
		return nil, fmt.Errorf("serving certificate: %w", err)
	}
	admin, err := ca.ensure(filepath.Join(c.Dir, "admin.pem"), template{subject: c.Admin, usage: x509.ExtKeyUsageClientAuth}, c.Now)
	if err != nil {
		return nil, fmt.Errorf("administrator's certificate: %w", err)
	}
	f.AdminCert = encode(admin.cert)
	f.AdminKey, err = keyutil.MarshalPrivateKeyToPEM(admin.key)
	return f, err
}

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// template is what a certificate is for.
type template struct {
	subject pkix.Name
	hosts   []string
	usage   x509.ExtKeyUsage
}

func ensureAuthority(file string, now time.Time) (pair, error) {
	data, err := os.ReadFile(file)
	switch {
	case os.IsNotExist(err):
		return createAuthority(file, now)
	case err != nil:
		return pair{}, err
	}
	p, err := parse(data)
	if err != nil {
		return pair{}, fmt.Errorf("%s is damaged: %w", file, err)
	}
	if now.After(p.cert.NotAfter) {
		return pair{}, fmt.Errorf("%s expired on %s: remove it to make a new one, which every client must then trust", file, p.cert.NotAfter.Format(time.DateOnly))
	}
	return p, nil
}

func createAuthority(file string, now time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "garrison-ca"},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	return pair{cert: t, key: key}.issue(file, t, key)
}

// ensure returns the pair in file if it fits t, or else a new one that is then
// in the file.
func (ca pair) ensure(file string, t template, now time.Time) (pair, error) {
	data, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return pair{}, err
	}
	if p, err := parse(data); err == nil && ca.fits(p.cert, t, now) {
		return p, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	c := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      t.subject,
		NotBefore:    now.Add(-backdated),
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{t.usage},
	}
	for _, h := range t.hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return ca.issue(file, c, key)
}

// fits tells whether c can go on being used for t.
func (ca pair) fits(c *x509.Certificate, t template, now time.Time) bool {
	if c.CheckSignatureFrom(ca.cert) != nil || c.Subject.String() != t.subject.String() {
		return false
	}
	for _, h := range t.hosts {
		if c.VerifyHostname(h) != nil {
			return false
		}
	}
	return now.After(c.NotBefore) && now.Before(c.NotAfter.Add(-certificateLife/3))
}

// issue signs c for key and writes both into one file, so that they cannot
// come apart.
func (ca pair) issue(file string, c *x509.Certificate, key *ecdsa.PrivateKey) (pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, c, ca.cert, key.Public(), ca.key)
	if err != nil {
		return pair{}, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return pair{}, err
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, err
	}
	data := append(encode(signed), keyPEM...)
	return pair{signed, key}, WriteFile(file, data)
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: c.Raw})
}

func parse(data []byte) (pair, error) {
	certs, err := cert.ParseCertsPEM(data)
	if err != nil {
		return pair{}, err
	}
	parsed, err := keyutil.ParsePrivateKeyPEM(data)
	if err != nil {
		return pair{}, err
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return pair{}, fmt.Errorf("a %T is not a signing key", parsed)
	}
	return pair{certs[0], key}, nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // the system has no randomness
	}
	return n.Add(n, big.NewInt(1))
}

// WriteFile replaces file, readable by its owner alone, in one step: readers
// and crashes meet the old content or the new. Equal content is left alone.
func WriteFile(file string, data []byte) (err error) {
	if old, err := os.ReadFile(file); err == nil && string(old) == string(data) {
		return os.Chmod(file, 0o600)
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
