package server

import (
	"crypto/sha256"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
)

const (
	// rememberedFor is how long a certificate that was verified is believed
	// without being verified again.
	rememberedFor = time.Minute
	// rememberedCertificates bounds how many are.
	rememberedCertificates = 4096
)

// rememberCertificates verifies each client certificate once a minute instead
// of with each request, which takes longer than all else that finds out who
// makes it. That the client has the key is proven by its connection. A
// certificate that was refused is not remembered, and none is believed after
// it has expired.
func rememberCertificates(verify authenticator.Request) authenticator.Request {
	return &certificates{verify: verify, known: cache.NewLRUExpireCache(rememberedCertificates)}
}

type certificates struct {
	verify authenticator.Request
	known  *cache.LRUExpireCache // by the SHA-256 of the certificate
}

// AuthenticateRequest implements authenticator.Request.
func (c *certificates) AuthenticateRequest(req *http.Request) (*authenticator.Response, bool, error) {
	if req.TLS == nil || len(req.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	cert := req.TLS.PeerCertificates[0]
	key := sha256.Sum256(cert.Raw)
	if known, ok := c.known.Get(key); ok {
		response := *known.(*authenticator.Response)
		return &response, true, nil
	}
	response, ok, err := c.verify.AuthenticateRequest(req)
	if err != nil || !ok {
		return nil, ok, err
	}
	remembered := *response
	c.known.Add(key, &remembered, min(rememberedFor, time.Until(cert.NotAfter)))
	return response, true, nil
}
