package token

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// legacyIssuer is what tokens that lie in a Secret name as their issuer, whoever
// signed them.
const legacyIssuer = "kubernetes/serviceaccount"

// SecretClaims are what a token in a Secret of type
// kubernetes.io/service-account-token says. It never expires: it is good as long as
// the Secret holds it, and its account exists.
type SecretClaims struct {
	Namespace string
	Account   Ref
	// Secret is the name of the Secret.
	Secret string
}

// encodedSecret are these claims as they stand in a token.
type encodedSecret struct {
	Issuer    string    `json:"iss"`
	Subject   string    `json:"sub"`
	Namespace string    `json:"kubernetes.io/serviceaccount/namespace"`
	Secret    string    `json:"kubernetes.io/serviceaccount/secret.name"`
	Account   string    `json:"kubernetes.io/serviceaccount/service-account.name"`
	UID       types.UID `json:"kubernetes.io/serviceaccount/service-account.uid"`
}

// The times and audiences that such a token does not have.
func (encodedSecret) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (encodedSecret) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (encodedSecret) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (encodedSecret) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }
func (e encodedSecret) GetIssuer() (string, error)                 { return e.Issuer, nil }
func (e encodedSecret) GetSubject() (string, error)                { return e.Subject, nil }

// IssueForSecret signs a token that says c.
func (i *Issuer) IssueForSecret(c SecretClaims) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodES256, encodedSecret{
		Issuer: legacyIssuer, Subject: serviceaccount.MakeUsername(c.Namespace, c.Account.Name),
		Namespace: c.Namespace, Secret: c.Secret, Account: c.Account.Name, UID: c.Account.UID,
	})
	t.Header["kid"] = i.keyID
	delete(t.Header, "typ")
	return t.SignedString(i.key)
}

// IsForSecret tells whether a token claims to lie in a Secret. It may lie.
func IsForSecret(token string) bool {
	var e encodedSecret
	_, _, err := jwt.NewParser().ParseUnverified(token, &e)
	return err == nil && e.Issuer == legacyIssuer
}

// ReadForSecret returns what a token in a Secret says, if this issuer signed it.
func (i *Issuer) ReadForSecret(token string) (*SecretClaims, error) {
	var e encodedSecret
	_, err := jwt.ParseWithClaims(token, &e,
		func(*jwt.Token) (any, error) { return i.key.Public(), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}),
		jwt.WithIssuer(legacyIssuer),
	)
	if err != nil {
		return nil, fmt.Errorf("service account token claims could not be validated: %w", err)
	}
	if e.Subject != serviceaccount.MakeUsername(e.Namespace, e.Account) || e.Secret == "" {
		return nil, errors.New("service account token claims could not be validated: sub and names do not match")
	}
	return &SecretClaims{Namespace: e.Namespace, Account: Ref{Name: e.Account, UID: e.UID}, Secret: e.Secret}, nil
}
