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

func images(certificate string) []image {
	program := *agnhost + ":/agnhost"
	return []image{
		{"agnhost", []string{"-add", program, "-add", program + "-2", "-add", certificate + ".crt:/localhost.crt", "-add", certificate + ".key:/localhost.key", "-add", "testdata/bash:/bin/bash", "-add", "testdata/curl:/bin/curl", "-entrypoint", "/agnhost", "-command", "pause"}, []imageutils.ImageID{imageutils.Agnhost, imageutils.AgnhostPrev}},
		{"pause", []string{"-add", program, "-entrypoint", "/agnhost pause"}, []imageutils.ImageID{imageutils.Pause}},
		{"busybox", []string{"-add", *shell + ":/usr/local/bin/sh"}, []imageutils.ImageID{imageutils.BusyBox}},
		{"nonroot", []string{"-user", "1234"}, []imageutils.ImageID{imageutils.NonRoot}},
		{"nginx", []string{"-entrypoint", "httpd -f -p 80"}, []imageutils.ImageID{imageutils.Nginx, imageutils.NginxNew}},
	}
}

// makeImages writes all images as archives into a folder.
func makeImages(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, i := range images(makeCertificate(t)) {
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
// with, as two files, and returns their path without .crt and .key.
func makeCertificate(t *testing.T) string {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey("localhost", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "localhost")
	if err := os.WriteFile(path+".crt", certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".key", key, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
