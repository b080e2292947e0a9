package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestImage(t *testing.T) {
	const busybox = "/bin/busybox"
	if _, err := os.Stat(busybox); err != nil {
		t.Skip("needs a static busybox: make setup installs it")
	}
	dir := t.TempDir()
	extra := filepath.Join(dir, "extra")
	if err := os.WriteFile(extra, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	o := options{output: filepath.Join(dir, "image.tar"), busybox: busybox, entrypoint: "/opt/extra -x", user: "7", add: pairs{extra + ":/opt/extra"}}
	if err := run(o, []string{"busybox:1", "example.com/agent:v2"}); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("example.com/agent:v2")
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(o.output, &tag)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Config; got.User != "7" || len(got.Entrypoint) != 2 || len(got.Cmd) != 0 {
		t.Errorf("config is %+v", got)
	}
	modes := map[string]int64{}
	for archive := tar.NewReader(mutate.Extract(image)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[strings.TrimSuffix(header.Name, "/")] = header.Mode
	}
	for path, mode := range map[string]int64{"bin/busybox": 0o755, "bin/sh": 0o777, "tmp": 0o1777, "opt/extra": 0o755, "etc/passwd": 0o644} {
		if modes[path] != mode {
			t.Errorf("%s has mode %o, want %o", path, modes[path], mode)
		}
	}
	digest, _ := image.Digest()
	again, err := build(o)
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := again.Digest(); d != digest {
		t.Errorf("made again the image is %v, not %v", d, digest)
	}
}
