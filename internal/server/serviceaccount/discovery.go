package serviceaccount

import (
	"fmt"
	"net/http"

	"github.com/garrison-project/garrison/internal/api/token"
)

const (
	providerPath = "/.well-known/openid-configuration"
	keySetPath   = "/openid/v1/jwks"
)

// mux is where documents are served.
type mux interface {
	Handle(path string, handler http.Handler)
}

// ServeDiscovery serves, to those who may see it, what others need to verify the
// tokens of an issuer. url is where the server is reached.
func ServeDiscovery(m mux, issuer *token.Issuer, url string) error {
	provider, err := issuer.Provider(url + keySetPath)
	if err != nil {
		return fmt.Errorf("describe the issuer of tokens: %w", err)
	}
	keys, err := issuer.KeySet()
	if err != nil {
		return fmt.Errorf("encode the keys of the issuer of tokens: %w", err)
	}
	m.Handle(providerPath, document{"application/json", provider})
	m.Handle(keySetPath, document{"application/jwk-set+json", keys})
	return nil
}

// document is a response that never changes.
type document struct {
	contentType string
	content     []byte
}

func (d document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET is supported", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", d.contentType)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	// A client that has left is no concern of ours.
	_, _ = w.Write(d.content)
}
