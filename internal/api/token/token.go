// Package token writes and reads the tokens of service accounts: what they say,
// and the signature by which they are known to be ours.
//
// Whether the account, and what a token is bound to, still exist is left to
// those who can look it up.
package token

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// leeway is how far the clocks of two servers may be apart.
const leeway = time.Minute

// Ref names an object of the account's namespace, or a node.
type Ref struct {
	Name string    `json:"name,omitempty"`
	UID  types.UID `json:"uid,omitempty"`
}

// Claims are what a token says.
type Claims struct {
	Namespace string
	Account   Ref
	// Pod, Secret and Node are what the token is bound to: it is good as long
	// as that exists. At most one of Pod and Secret is set. A Node beside a Pod
	// tells where the pod is, and binds nothing.
	Pod, Secret, Node *Ref
	Audiences         []string
	Issued, Expires   time.Time
	// WarnAfter is when the holder should have asked for a new token. It is zero
	// if that is Expires.
	WarnAfter time.Time
	// ID is unique. It is set by Issue.
	ID string
}

// encoded are the claims as they stand in a token.
type encoded struct {
	jwt.RegisteredClaims
	Kubernetes private `json:"kubernetes.io"`
}

type private struct {
	Namespace string           `json:"namespace,omitempty"`
	Account   Ref              `json:"serviceaccount"`
	Pod       *Ref             `json:"pod,omitempty"`
	Secret    *Ref             `json:"secret,omitempty"`
	Node      *Ref             `json:"node,omitempty"`
	WarnAfter *jwt.NumericDate `json:"warnafter,omitempty"`
}

// Issuer issues tokens under a name, with one key.
type Issuer struct {
	name  string
	key   *ecdsa.PrivateKey
	keyID string
}

// NewIssuer returns the issuer of the given name, a URL by custom. key is on the
// curve P-256.
func NewIssuer(name string, key *ecdsa.PrivateKey) (*Issuer, error) {
	if name == "" {
		return nil, errors.New("an issuer of tokens needs a name")
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode the public key of %s: %w", name, err)
	}
	sum := sha256.Sum256(public)
	return &Issuer{name: name, key: key, keyID: base64.RawURLEncoding.EncodeToString(sum[:])}, nil
}

// Name is the issuer's name, which is also the audience of tokens that name none.
func (i *Issuer) Name() string { return i.name }

// Issue signs a token that says c, with a new ID.
func (i *Issuer) Issue(c Claims) (string, error) {
	e := encoded{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    i.name,
			Subject:   serviceaccount.MakeUsername(c.Namespace, c.Account.Name),
			Audience:  c.Audiences,
			IssuedAt:  jwt.NewNumericDate(c.Issued),
			NotBefore: jwt.NewNumericDate(c.Issued),
			ExpiresAt: jwt.NewNumericDate(c.Expires),
			ID:        string(uuid.NewUUID()),
		},
		Kubernetes: private{Namespace: c.Namespace, Account: c.Account, Pod: c.Pod, Secret: c.Secret, Node: c.Node},
	}
	if !c.WarnAfter.IsZero() {
		e.Kubernetes.WarnAfter = jwt.NewNumericDate(c.WarnAfter)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, e)
	t.Header["kid"] = i.keyID
	delete(t.Header, "typ")
	return t.SignedString(i.key)
}

// Mine tells whether a token claims to be of this issuer. It may lie.
func (i *Issuer) Mine(token string) bool {
	var e encoded
	_, _, err := jwt.NewParser().ParseUnverified(token, &e)
	return err == nil && e.Issuer == i.name
}

// Read returns what a token says, if it is of this issuer and good at the time
// now.
func (i *Issuer) Read(token string, now time.Time) (*Claims, error) {
	var e encoded
	_, err := jwt.ParseWithClaims(token, &e,
		func(*jwt.Token) (any, error) { return i.key.Public(), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}),
		jwt.WithIssuer(i.name),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(func() time.Time { return now }),
	)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, errors.New("service account token has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return nil, errors.New("service account token is not valid yet")
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return nil, errors.New("service account token is issued in the future")
	case err != nil:
		return nil, fmt.Errorf("service account token claims could not be validated: %w", err)
	}
	c := &Claims{
		Namespace: e.Kubernetes.Namespace,
		Account:   e.Kubernetes.Account,
		Pod:       e.Kubernetes.Pod,
		Secret:    e.Kubernetes.Secret,
		Node:      e.Kubernetes.Node,
		Audiences: e.Audience,
		Expires:   e.ExpiresAt.Time,
		ID:        e.ID,
	}
	if e.IssuedAt != nil {
		c.Issued = e.IssuedAt.Time
	}
	if e.Kubernetes.WarnAfter != nil {
		c.WarnAfter = e.Kubernetes.WarnAfter.Time
	}
	return c, nil
}
