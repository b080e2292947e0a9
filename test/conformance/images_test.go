package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/client-go/util/cert"
	imageutils "k8s.io/kubernetes/test/utils/image"
)

// image is an image that specs ask for, made on the spot of a static busybox
// and upstream's own test program: no registry is needed.
type image struct {
	file  string
	flags []string
	names []imageutils.ImageID
}

// images are those that specs ask for, with files of a folder in them.
func images(made string) []image {
	program := *agnhost + ":/agnhost"
	return []image{
		{"agnhost", append(add(
			program, program+"-2", made+"/localhost.crt:/localhost.crt", made+"/localhost.key:/localhost.key", made+"/registry:/var/registry",
			"testdata/bash:/bin/bash", "testdata/curl:/bin/curl", "testdata/passwd:/etc/passwd", "testdata/group:/etc/group",
		), "-entrypoint", "/agnhost", "-command", "pause"), []imageutils.ImageID{imageutils.Agnhost, imageutils.AgnhostPrev}},
		{"pause", []string{"-add", program, "-entrypoint", "/agnhost pause"}, []imageutils.ImageID{imageutils.Pause}},
		{"busybox", []string{"-add", *shell + ":/usr/local/bin/sh"}, []imageutils.ImageID{imageutils.BusyBox}},
		{"glibc", nil, []imageutils.ImageID{imageutils.GlibcDnsTesting}}, // Debian's busybox has that library
		{"nonroot", []string{"-user", "1234"}, []imageutils.ImageID{imageutils.NonRoot}},
		{"nonewprivs", []string{"-add", made + "/nnp:/usr/local/bin/nnp", "-command", "nnp"}, []imageutils.ImageID{imageutils.Nonewprivs}},
		{"nginx", []string{"-entrypoint", "httpd -f -p 80"}, []imageutils.ImageID{imageutils.Nginx, imageutils.NginxNew}},
	}
}

// add are the flags that add files, given as SOURCE:PATH.
func add(files ...string) []string {
	var flags []string
	for _, file := range files {
		flags = append(flags, "-add", file)
	}
	return flags
}

// makeImages writes all images as archives into a folder.
func makeImages(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	made := t.TempDir()
	makeCertificate(t, made)
	makeRegistry(t, filepath.Join(made, "registry"))
	makeSetuid(t, *nonewprivs, filepath.Join(made, "nnp"))
	for _, i := range images(made) {
		args := append([]string{"-o", filepath.Join(dir, i.file+".tar")}, i.flags...)
		for _, id := range i.names {
			args = append(args, imageutils.GetE2EImage(id))
		}
		if out, err := exec.Command(*imageMaker, args...).CombinedOutput(); err != nil {
			t.Fatalf("make the image %s: %v\n%s", i.file, err, out)
		}
	}
}

// makeCertificate writes the certificate that upstream's test program serves
// with, for every user to read.
func makeCertificate(t *testing.T, dir string) {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey("localhost", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"localhost.crt": certificate, "localhost.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// makeRegistry writes the files of the registry that upstream's test program
// plays: one image, which only waits.
func makeRegistry(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.Command(*imageMaker, "-files", dir, "-command", "sleep 3600", "localhost:5000/pause:testing").CombinedOutput(); err != nil {
		t.Fatalf("make the registry: %v\n%s", err, out)
	}
}

// makeSetuid copies a program so that it runs as its owner.
func makeSetuid(t *testing.T, program, path string) {
	t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
}
