package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/util/keyutil"
)

// EnsureSigningKey returns the key that tokens are signed with, making it if it
// is missing. One that is there but cannot be read is an error: with a new one
// every token that is out there would be refused.
func EnsureSigningKey(dir string) (*ecdsa.PrivateKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory of keys: %w", err)
	}
	file := filepath.Join(dir, "service-account.key")
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return createSigningKey(file)
	}
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	parsed, err := keyutil.ParsePrivateKeyPEM(data)
	if err != nil {
		return nil, fmt.Errorf("signing key: %s is damaged: %w", file, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("signing key: %s holds another kind of key than ECDSA on P-256", file)
	}
	return key, nil
}

func createSigningKey(file string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	data, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if err := WriteFile(file, data); err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return key, nil
}
