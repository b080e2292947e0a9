package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"
)

var machine = Machine{
	Subject: pkix.Name{CommonName: "system:node:a", Organization: []string{"system:nodes"}},
	Hosts:   []string{"a", "192.0.2.1"},
}

func TestMachine(t *testing.T) {
	dir := t.TempDir()
	f := ensure(t, config(dir))
	issued, err := IssueMachine(dir, machine, start)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(issued.Certificate, issued.Key); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(issued.Authority, f.Authority) {
		t.Error("another authority")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(issued.Authority)
	c := parsed(t, issued.Certificate)
	for _, host := range machine.Hosts {
		for _, usage := range bothUsages {
			o := x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{usage}}
			if _, err := c.Verify(o); err != nil {
				t.Errorf("%s, usage %d: %v", host, usage, err)
			}
		}
	}
	if c.Subject.String() != machine.Subject.String() {
		t.Errorf("subject %s", c.Subject)
	}
}

func TestMachineIsKept(t *testing.T) {
	dir := t.TempDir()
	ensure(t, config(dir))
	get := func(m Machine, now time.Time) string {
		t.Helper()
		file, err := EnsureMachine(dir, "m.pem", m, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tls.LoadX509KeyPair(file, file); err != nil {
			t.Error(err)
		}
		return string(read(t, file))
	}
	first := get(machine, start)
	if get(machine, start.AddDate(0, 1, 0)) != first {
		t.Error("renewed without need")
	}
	moved := machine
	moved.Hosts = []string{"a", "192.0.2.2"}
	second := get(moved, start)
	if second == first {
		t.Error("not renewed for a new address")
	}
	if get(moved, start.AddDate(0, 11, 0)) == second {
		t.Error("not renewed in its last third")
	}
}

// Nobody but the control plane makes an authority.
func TestMachineWithoutAuthority(t *testing.T) {
	dir := t.TempDir()
	if _, err := IssueMachine(dir, machine, start); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("issue: %v", err)
	}
	if _, err := EnsureMachine(dir, "m.pem", machine, start); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ensure: %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
}
