package server

import (
	"crypto/x509/pkix"
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/garrison-project/garrison/internal/server/pki"
)

// configAs is the configuration of a client whose certificate, signed by the
// server's authority, names subject.
func configAs(t *testing.T, s *Server, subject pkix.Name) *rest.Config {
	t.Helper()
	keys, err := pki.Ensure(pki.Config{Dir: pkiCopy(t, s), Admin: subject, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return &rest.Config{
		Host:            s.URL(),
		TLSClientConfig: rest.TLSClientConfig{CAData: s.CABundle(), CertData: keys.AdminCert, KeyData: keys.AdminKey},
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	nobody := &rest.Config{Host: shared.URL(), TLSClientConfig: rest.TLSClientConfig{CAData: shared.CABundle()}}
	withToken := rest.CopyConfig(nobody)
	withToken.BearerToken = "guessed"
	foreign := start(t, Config{DataDir: t.TempDir()})
	stranger := adminConfig(t, foreign)
	stranger.Host, stranger.CAData = shared.URL(), shared.CABundle()

	const secrets, create = "/api/v1/namespaces/kube-system/secrets", "/api/v1/namespaces"
	for name, c := range map[string]struct {
		config *rest.Config
		call   call
		code   int
	}{
		"anyone sees readyz":           {nobody, call{path: "/readyz"}, 200},
		"anyone sees livez":            {nobody, call{path: "/livez"}, 200},
		"anyone sees healthz":          {nobody, call{path: "/healthz"}, 200},
		"anonymous reads":              {nobody, call{path: secrets}, 401},
		"anonymous discovers":          {nobody, call{path: "/api"}, 401},
		"anonymous sees the version":   {nobody, call{path: "/version"}, 401},
		"anonymous writes to health":   {nobody, call{method: http.MethodPost, path: "/readyz/../api/v1/namespaces"}, 401},
		"a token nobody issued":        {withToken, call{path: secrets}, 401},
		"an administrator":             {adminConfig(t, shared), call{path: secrets}, 200},
		"another's administrator":      {stranger, call{path: secrets}, 401},
		"a user without rights":        {configAs(t, shared, pkix.Name{CommonName: "eve"}), call{path: secrets}, 403},
		"a user without rights writes": {configAs(t, shared, pkix.Name{CommonName: "eve"}), call{method: http.MethodPost, path: create}, 403},
		"a user of another group":      {configAs(t, shared, pkix.Name{CommonName: "eve", Organization: []string{"system:nodes"}}), call{path: secrets}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			if a := c.call.do(t, c.config); a.code != c.code {
				t.Errorf("%s %s: %d, want %d: %s", c.call.method, c.call.path, a.code, c.code, a.body)
			}
		})
	}
}

func TestImpersonation(t *testing.T) {
	a := call{
		path:   "/api/v1/namespaces",
		header: map[string]string{"Impersonate-User": "eve"},
	}.do(t, adminConfig(t, shared))
	if a.code != http.StatusForbidden {
		t.Errorf("%d %s", a.code, a.body)
	}
}
