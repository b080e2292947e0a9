package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/util/keyutil"
)

func TestSigningKeyIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	first, err := EnsureSigningKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := EnsureSigningKey(dir)
	if err != nil || !second.Equal(first) {
		t.Errorf("another key, %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "service-account.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %s", err, info.Mode())
	}
}

func TestSigningKeyIsNotReplaced(t *testing.T) {
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := keyutil.MarshalPrivateKeyToPEM(large)
	if err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{
		"garbled":     "is damaged",
		string(other): "holds another kind of key",
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "service-account.key")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := EnsureSigningKey(dir); err == nil || !strings.Contains(err.Error(), file+" "+want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if string(read(t, file)) != content {
			t.Error("the file was replaced")
		}
	}
}
