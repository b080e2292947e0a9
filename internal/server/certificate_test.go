package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// requestWith is a request over a connection whose client has shown a
// certificate with these bytes.
func requestWith(raw string, notAfter time.Time) *http.Request {
	return &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(raw), NotAfter: notAfter}}}}
}

func TestCertificatesAreVerifiedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		verified := map[string]int{}
		auth := rememberCertificates(authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
			raw := string(req.TLS.PeerCertificates[0].Raw)
			verified[raw]++
			if raw == "forged" {
				return nil, false, errors.New("not signed by us")
			}
			return &authenticator.Response{User: &user.DefaultInfo{Name: raw}}, true, nil
		}))
		ask := func(raw string, lasts time.Duration, times int) {
			t.Helper()
			want := verified[raw] + times
			for range 3 {
				response, ok, err := auth.AuthenticateRequest(requestWith(raw, time.Now().Add(lasts)))
				if raw == "forged" && (ok || err == nil) || raw != "forged" && (!ok || err != nil || response.User.GetName() != raw) {
					t.Fatalf("%s: %v %v %v", raw, response, ok, err)
				}
			}
			if verified[raw] != want {
				t.Errorf("%s was verified %d times, want %d", raw, verified[raw], want)
			}
		}
		ask("alice", time.Hour, 1)
		ask("bob", time.Hour, 1)
		ask("forged", time.Hour, 3) // a refusal is not remembered
		time.Sleep(rememberedFor)
		ask("alice", time.Hour, 0)
		time.Sleep(time.Nanosecond)
		ask("alice", 10*time.Second, 1)
		time.Sleep(10*time.Second + 1)
		ask("alice", 0, 1) // a certificate that has expired since is verified, which refuses it
		ask("carol", -time.Second, 3)
	})
}

// countedAuthority counts how often it is asked for what verifies a certificate.
type countedAuthority struct {
	dynamiccertificates.CAContentProvider
	asked int
}

func (c *countedAuthority) VerifyOptions() (x509.VerifyOptions, bool) {
	c.asked++
	return c.CAContentProvider.VerifyOptions()
}

func TestTheServerRemembersCertificates(t *testing.T) {
	pair, err := tls.X509KeyPair(shared.keys.AdminCert, shared.keys.AdminKey)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := dynamiccertificates.NewStaticCAContent("counted", shared.keys.Authority)
	if err != nil {
		t.Fatal(err)
	}
	clients := &countedAuthority{CAContentProvider: authority}
	auth := newAuthenticator(clients, nil)
	for range 3 {
		req := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{pair.Leaf}}}
		if _, ok, err := auth.AuthenticateRequest(req); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if clients.asked != 1 {
		t.Errorf("verified %d times, want once", clients.asked)
	}
}

func TestNobodyIsRememberedWithoutCertificate(t *testing.T) {
	auth := rememberCertificates(authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		t.Error("asked")
		return nil, false, nil
	}))
	for _, req := range []*http.Request{{}, {TLS: &tls.ConnectionState{}}} {
		if _, ok, err := auth.AuthenticateRequest(req); ok || err != nil {
			t.Errorf("%v %v", ok, err)
		}
	}
}
