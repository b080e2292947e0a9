package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newIssuer(t *testing.T, name string) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i, err := NewIssuer(name, key)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func claims() Claims {
	return Claims{
		Namespace: "logs",
		Account:   Ref{"agent", "uid-account"},
		Pod:       &Ref{"p", "uid-pod"},
		Node:      &Ref{"n", "uid-node"},
		Audiences: []string{"here"},
		Issued:    now,
		Expires:   now.Add(time.Hour),
		WarnAfter: now.Add(time.Minute),
	}
}

func TestReadGivesWhatWasIssued(t *testing.T) {
	i := newIssuer(t, "https://issuer")
	token, err := i.Issue(claims())
	if err != nil {
		t.Fatal(err)
	}
	got, err := i.Read(token, now)
	if err != nil {
		t.Fatal(err)
	}
	want := claims()
	want.ID = got.ID
	got.Issued, got.Expires, got.WarnAfter = got.Issued.UTC(), got.Expires.UTC(), got.WarnAfter.UTC()
	if got.ID == "" || !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

// What other programs see of a token.
func TestForm(t *testing.T) {
	i := newIssuer(t, "https://issuer")
	token, err := i.Issue(claims())
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	var header, body map[string]any
	for n, into := range []*map[string]any{&header, &body} {
		data, err := base64.RawURLEncoding.DecodeString(parts[n])
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := map[string]any{"alg": "ES256", "kid": i.keyID}; !reflect.DeepEqual(header, want) {
		t.Errorf("header %v, want %v", header, want)
	}
	delete(body, "jti")
	at := float64(now.Unix())
	want := map[string]any{
		"iss": "https://issuer", "sub": "system:serviceaccount:logs:agent", "aud": []any{"here"},
		"iat": at, "nbf": at, "exp": at + 3600,
		"kubernetes.io": map[string]any{
			"namespace":      "logs",
			"serviceaccount": map[string]any{"name": "agent", "uid": "uid-account"},
			"pod":            map[string]any{"name": "p", "uid": "uid-pod"},
			"node":           map[string]any{"name": "n", "uid": "uid-node"},
			"warnafter":      at + 60,
		},
	}
	if !reflect.DeepEqual(body, want) {
		t.Errorf("body\n%v, want\n%v", body, want)
	}
}

func TestWhatIsRefused(t *testing.T) {
	i, other := newIssuer(t, "https://issuer"), newIssuer(t, "https://issuer")
	issue := func(by *Issuer, change func(*Claims)) string {
		c := claims()
		change(&c)
		token, err := by.Issue(c)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	same := func(*Claims) {}
	good := issue(i, same)
	parts := strings.Split(good, ".")
	forged, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": "https://issuer"}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token string
		now   time.Time
		want  string // "" if it is good
	}{
		"good":              {good, now, ""},
		"within the leeway": {good, now.Add(time.Hour + 59*time.Second), ""},
		"expired":           {good, now.Add(time.Hour + 61*time.Second), "service account token has expired"},
		"too early":         {good, now.Add(-2 * time.Minute), "service account token is not valid yet"},
		"of another key":    {issue(other, same), now, "signature is invalid"},
		"changed":           {parts[0] + "." + strings.Split(issue(i, func(c *Claims) { c.Namespace = "x" }), ".")[1] + "." + parts[2], now, "signature is invalid"},
		"unsigned":          {forged, now, "signing method none is invalid"},
		"garbage":           {"a.b.c", now, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := i.Read(c.token, c.now)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestMine(t *testing.T) {
	i := newIssuer(t, "https://issuer")
	for _, by := range []*Issuer{i, newIssuer(t, "https://other")} {
		token, err := by.Issue(claims())
		if err != nil {
			t.Fatal(err)
		}
		if i.Mine(token) != (by == i) {
			t.Errorf("a token of %s: %t", by.Name(), by != i)
		}
	}
	if i.Mine("secret") {
		t.Error("anything goes")
	}
}

// A program with nothing but the published key can verify tokens.
func TestKeySet(t *testing.T) {
	i := newIssuer(t, "https://issuer")
	data, err := i.KeySet()
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []struct{ Kty, Crv, Kid, X, Y string }
	}
	if err := json.Unmarshal(data, &set); err != nil || len(set.Keys) != 1 || set.Keys[0].Kty != "EC" || set.Keys[0].Crv != "P-256" {
		t.Fatalf("%s, %v", data, err)
	}
	point := []byte{4}
	for _, coordinate := range []string{set.Keys[0].X, set.Keys[0].Y} {
		b, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil {
			t.Fatalf("%q: %v", coordinate, err)
		}
		point = append(point, b...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	token, err := i.Issue(claims())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return public, nil }, jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil || parsed.Header["kid"] != set.Keys[0].Kid {
		t.Errorf("%v, %v", parsed, err)
	}
}

func TestProvider(t *testing.T) {
	data, err := newIssuer(t, "https://issuer").Provider("https://server/openid/v1/jwks")
	const want = `{"issuer":"https://issuer","jwks_uri":"https://server/openid/v1/jwks","response_types_supported":["id_token"],` +
		`"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"]}`
	if err != nil || string(data) != want {
		t.Errorf("%s, %v", data, err)
	}
}
