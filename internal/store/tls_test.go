package store

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// authority signs certificates for 127.0.0.1, into files.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	dir, file   string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "authority"}, key)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{t: t, certificate: certificate, key: key, dir: t.TempDir()}
	a.file = a.write("ca.pem", "CERTIFICATE", certificate.Raw)
	return a
}

func (a authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	file := filepath.Join(a.dir, name)
	var encoded []byte
	if kind == "CERTIFICATE" {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			a.t.Fatal(err)
		}
		if encoded, err = cert.EncodeCertificates(parsed); err != nil {
			a.t.Fatal(err)
		}
	} else {
		var err error
		if encoded, err = keyutil.MarshalPrivateKeyToPEM(a.key); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, encoded, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// issue makes a certificate with the authority's own key.
func (a authority) issue(name string) TLSFiles {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, a.key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return TLSFiles{CA: a.file, Cert: a.write(name+".pem", "CERTIFICATE", der), Key: a.write(name+".key", "KEY", nil)}
}

func TestExternalWithCertificates(t *testing.T) {
	a := newAuthority(t)
	files := a.issue("etcd")
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.ListenPeerUrls = nil
	cfg.ListenClientUrls = []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	cfg.ClientTLSInfo.TrustedCAFile, cfg.ClientTLSInfo.CertFile, cfg.ClientTLSInfo.KeyFile = files.CA, files.Cert, files.Key
	cfg.ClientTLSInfo.ClientCertAuth = true
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(make(chan error, 1)))
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	servers := []string{"https://" + server.Clients[0].Addr().String()}

	storeAndRead(t, open(t, Config{Servers: servers, TLS: a.issue("garrison")}))

	for name, files := range map[string]TLSFiles{
		"no certificate":              {CA: a.file},
		"another authority":           newAuthority(t).issue("garrison"),
		"what the machine trusts":     {},
		"an authority that is no one": {CA: filepath.Join(t.TempDir(), "none.pem")},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		s, err := Open(ctx, Config{Servers: servers, TLS: files})
		cancel()
		if err == nil {
			t.Errorf("with %s: it was let in", name)
			s.Close()
		} else if files.CA != "" && strings.HasSuffix(files.CA, "none.pem") && !strings.Contains(err.Error(), "read the certificates for etcd: ") {
			t.Errorf("with %s: %v", name, err)
		}
	}
}
