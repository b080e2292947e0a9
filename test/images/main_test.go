package main

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
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
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(folder, "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "inner", "file"), []byte("a\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	setuid := filepath.Join(dir, "setuid")
	if err := os.WriteFile(setuid, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(setuid, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	o := options{
		output: filepath.Join(dir, "image.tar"), files: filepath.Join(dir, "files"), busybox: busybox, entrypoint: "/opt/extra -x", user: "7",
		add: pairs{extra + ":/opt/extra", folder + ":/var/folder", setuid + ":/bin/setuid", folder + "/inner/file:/etc/group"},
	}
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
	for path, mode := range map[string]int64{"bin/busybox": 0o755, "bin/sh": 0o777, "tmp": 0o1777, "opt/extra": 0o755, "etc/passwd": 0o644, "bin/setuid": 0o4755, "var/folder/inner": 0o755, "var/folder/inner/file": 0o640, "etc/group": 0o640} {
		if modes[path] != mode {
			t.Errorf("%s has mode %o, want %o", path, modes[path], mode)
		}
	}
	digest, _ := image.Digest()
	served, err := os.ReadFile(filepath.Join(o.files, "agent", "manifests", "v2"))
	if err != nil || string(served) != digest.String() {
		t.Errorf("the files have v2 as %q, not %v: %v", served, digest, err)
	}
	testBlobs(t, filepath.Join(o.files, "agent"))
	again, err := build(o)
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := again.Digest(); d != digest {
		t.Errorf("made again the image is %v, not %v", d, digest)
	}
}

// testBlobs wants every file of a repository to be what its digest says.
func testBlobs(t *testing.T, repository string) {
	files, err := filepath.Glob(filepath.Join(repository, "*", "sha256", "*", "*", "data"))
	if err != nil || len(files) != 3 {
		t.Fatalf("the repository has %q, not a manifest, a configuration and a layer: %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(content)); sum != filepath.Base(filepath.Dir(file)) {
			t.Errorf("%s has the digest %s", file, sum)
		}
	}
}
