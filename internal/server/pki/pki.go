// Package pki makes and keeps the keys and certificates of a control plane: its
// authority, the certificate it serves with, the administrator's, the one by
// which it is known to agents, and those of nodes. All are ECDSA, made at first
// start, used again later, and renewed before they expire.
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
	"slices"
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
	// Caller is the subject of the certificate that the server shows to agents.
	Caller pkix.Name
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
	// CallerFile holds the certificate that the server shows to agents, and its
	// key.
	CallerFile string
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
	ca, err := ensureAuthority(authorityFile(c.Dir), c.Now)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	f := &Files{
		Authority:     encode(ca.cert),
		AuthorityFile: filepath.Join(c.Dir, "ca.crt"),
		ServingFile:   filepath.Join(c.Dir, "serving.pem"),
		CallerFile:    filepath.Join(c.Dir, "agent-client.pem"),
	}
	if err := WriteFile(f.AuthorityFile, f.Authority); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	serving := template{
		subject: pkix.Name{CommonName: "garrison"},
		hosts:   c.Hosts,
		usage:   serverUsage,
	}
	if _, err := ca.ensure(f.ServingFile, serving, c.Now); err != nil {
		return nil, fmt.Errorf("serving certificate: %w", err)
	}
	if _, err := ca.ensure(f.CallerFile, template{subject: c.Caller, usage: clientUsage}, c.Now); err != nil {
		return nil, fmt.Errorf("certificate towards agents: %w", err)
	}
	admin, err := ca.ensure(filepath.Join(c.Dir, "admin.pem"), template{subject: c.Admin, usage: clientUsage}, c.Now)
	if err != nil {
		return nil, fmt.Errorf("administrator's certificate: %w", err)
	}
	f.AdminCert = encode(admin.cert)
	f.AdminKey, err = keyutil.MarshalPrivateKeyToPEM(admin.key)
	return f, err
}

func authorityFile(dir string) string { return filepath.Join(dir, "ca.pem") }

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// template is what a certificate is for.
type template struct {
	subject pkix.Name
	hosts   []string
	usage   []x509.ExtKeyUsage
}

var (
	serverUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	clientUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	bothUsages  = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
)

func ensureAuthority(file string, now time.Time) (pair, error) {
	p, err := readAuthority(file, now)
	if os.IsNotExist(err) {
		return createAuthority(file, now)
	}
	return p, err
}

// readAuthority reads an authority that can still be used.
func readAuthority(file string, now time.Time) (pair, error) {
	data, err := os.ReadFile(file)
	if err != nil {
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
	p, err := pair{cert: t, key: key}.issue(t, key)
	if err != nil {
		return pair{}, err
	}
	return p, p.write(file)
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
	p, err := ca.make(t, now)
	if err != nil {
		return pair{}, err
	}
	return p, p.write(file)
}

// make makes a pair that fits t.
func (ca pair) make(t template, now time.Time) (pair, error) {
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
		ExtKeyUsage:  t.usage,
	}
	for _, h := range t.hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return ca.issue(c, key)
}

// fits tells whether c can go on being used for t.
func (ca pair) fits(c *x509.Certificate, t template, now time.Time) bool {
	if c.CheckSignatureFrom(ca.cert) != nil || c.Subject.String() != t.subject.String() || !slices.Equal(c.ExtKeyUsage, t.usage) {
		return false
	}
	for _, h := range t.hosts {
		if c.VerifyHostname(h) != nil {
			return false
		}
	}
	return now.After(c.NotBefore) && now.Before(c.NotAfter.Add(-certificateLife/3))
}

// issue signs c for key.
func (ca pair) issue(c *x509.Certificate, key *ecdsa.PrivateKey) (pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, c, ca.cert, key.Public(), ca.key)
	if err != nil {
		return pair{}, err
	}
	signed, err := x509.ParseCertificate(der)
	return pair{signed, key}, err
}

// write puts certificate and key into one file, so that they cannot come apart.
func (p pair) write(file string) error {
	key, err := keyutil.MarshalPrivateKeyToPEM(p.key)
	if err != nil {
		return err
	}
	return WriteFile(file, append(encode(p.cert), key...))
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
