package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func config(dir string) Config {
	return Config{
		Dir:    dir,
		Hosts:  []string{"localhost", "127.0.0.1"},
		Admin:  pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		Caller: pkix.Name{CommonName: "caller"},
		Now:    start,
	}
}

func ensure(t *testing.T, c Config) *Files {
	t.Helper()
	f, err := Ensure(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func parsed(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(data)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	f := ensure(t, config(dir))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(f.Authority)
	for _, host := range []string{"localhost", "127.0.0.1"} {
		_, err := parsed(t, read(t, f.ServingFile)).Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: start})
		if err != nil {
			t.Errorf("serving as %s: %v", host, err)
		}
	}
	admin := parsed(t, f.AdminCert)
	if _, err := admin.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("administrator: %v", err)
	}
	if admin.Subject.CommonName != "admin" || strings.Join(admin.Subject.Organization, "") != "system:masters" {
		t.Errorf("administrator: %s", admin.Subject)
	}
	if _, err := tls.X509KeyPair(f.AdminCert, f.AdminKey); err != nil {
		t.Errorf("administrator's key: %v", err)
	}
	if _, err := tls.LoadX509KeyPair(f.ServingFile, f.ServingFile); err != nil {
		t.Errorf("serving key: %v", err)
	}
	if !bytes.Equal(read(t, f.AuthorityFile), f.Authority) || bytes.Contains(f.Authority, []byte("KEY")) {
		t.Error("the authority's public file is not its certificate alone")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 5 {
		t.Errorf("files %v, %v", files, err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, mode %s", file.Name(), err, info.Mode())
		}
	}
}

// What is renewed, and what is kept, as time and wishes change.
func TestLater(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		change         func(*Config)
		serving, admin bool // whether it is renewed
	}{
		"at once":                    {func(*Config) {}, false, false},
		"in the second third":        {func(c *Config) { c.Now = start.Add(200 * day) }, false, false},
		"in the last third":          {func(c *Config) { c.Now = start.Add(250 * day) }, true, true},
		"after the end":              {func(c *Config) { c.Now = start.Add(400 * day) }, true, true},
		"with the clock turned back": {func(c *Config) { c.Now = start.Add(-day) }, true, true},
		"by one more name":           {func(c *Config) { c.Hosts = append(c.Hosts, "example.org") }, true, false},
		"by one more address":        {func(c *Config) { c.Hosts = append(c.Hosts, "192.0.2.1") }, true, false},
		"by one name less":           {func(c *Config) { c.Hosts = c.Hosts[:1] }, false, false},
		"by another subject":         {func(c *Config) { c.Admin.CommonName = "other" }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := config(t.TempDir())
			old := ensure(t, before)
			oldServing := read(t, old.ServingFile)
			after := before
			c.change(&after)
			f := ensure(t, after)
			if !bytes.Equal(f.Authority, old.Authority) {
				t.Error("another authority")
			}
			if got := !bytes.Equal(read(t, f.ServingFile), oldServing); got != c.serving {
				t.Errorf("serving certificate renewed: %t", got)
			}
			if got := !bytes.Equal(f.AdminCert, old.AdminCert); got != c.admin {
				t.Errorf("administrator's certificate renewed: %t", got)
			}
		})
	}
}

func TestDamage(t *testing.T) {
	garble := func(t *testing.T, file string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("garbled"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("of a certificate is repaired", func(t *testing.T) {
		c := config(t.TempDir())
		garble(t, ensure(t, c).ServingFile)
		if _, err := tls.LoadX509KeyPair(ensure(t, c).ServingFile, ensure(t, c).ServingFile); err != nil {
			t.Error(err)
		}
	})
	t.Run("of the authority is an error", func(t *testing.T) {
		c := config(t.TempDir())
		ensure(t, c)
		file := filepath.Join(c.Dir, "ca.pem")
		garble(t, file)
		if _, err := Ensure(c); err == nil || !strings.Contains(err.Error(), file+" is damaged") {
			t.Errorf("got %v", err)
		}
		if string(read(t, file)) != "garbled" {
			t.Error("the file was replaced")
		}
	})
	t.Run("an expired authority is an error", func(t *testing.T) {
		c := config(t.TempDir())
		ensure(t, c)
		c.Now = start.AddDate(11, 0, 0)
		if _, err := Ensure(c); err == nil || !strings.Contains(err.Error(), "expired on 2035-12-31") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWriteFileKeepsWhatIsEqual(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write := func(content string) os.FileInfo {
		t.Helper()
		if err := WriteFile(file, []byte(content)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := write("a")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	second := write("a")
	if !os.SameFile(first, second) || second.Mode().Perm() != 0o600 {
		t.Errorf("equal content: same file %t, mode %s", os.SameFile(first, second), second.Mode())
	}
	if third := write("b"); os.SameFile(first, third) || string(read(t, file)) != "b" {
		t.Error("other content was written into the file that readers have open")
	}
}
