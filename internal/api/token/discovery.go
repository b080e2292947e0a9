package token

import (
	"encoding/base64"
	"encoding/json"

	"github.com/golang-jwt/jwt/v5"
)

// webKey is a public key as RFC 7517 writes it.
type webKey struct {
	Use       string `json:"use"`
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Curve     string `json:"crv"`
	Algorithm string `json:"alg"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// KeySet is the JSON Web Key Set by which others verify the issuer's tokens.
func (i *Issuer) KeySet() ([]byte, error) {
	// An uncompressed point: 4, then both coordinates in full length.
	point, err := i.key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	half := (len(point) - 1) / 2
	return json.Marshal(map[string][]webKey{"keys": {{
		Use:       "sig",
		Type:      "EC",
		ID:        i.keyID,
		Curve:     i.key.Params().Name,
		Algorithm: jwt.SigningMethodES256.Alg(),
		X:         base64.RawURLEncoding.EncodeToString(point[1 : 1+half]),
		Y:         base64.RawURLEncoding.EncodeToString(point[1+half:]),
	}}})
}

// provider is what OpenID Connect Discovery wants to know.
type provider struct {
	Issuer        string   `json:"issuer"`
	KeySet        string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// Provider describes the issuer, whose key set is to be had at a URL.
func (i *Issuer) Provider(keySet string) ([]byte, error) {
	return json.Marshal(provider{
		Issuer:        i.name,
		KeySet:        keySet,
		ResponseTypes: []string{"id_token"},
		SubjectTypes:  []string{"public"},
		Algorithms:    []string{jwt.SigningMethodES256.Alg()},
	})
}
