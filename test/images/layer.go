package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// rootLayer is the root file system as one layer. Its bytes depend on nothing
// but its contents, so that the same image made twice is the same.
func rootLayer(o options) (v1.Layer, error) {
	applets, err := exec.Command(o.busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list the applets of %s (Debian has it as busybox-static): %w", o.busybox, err)
	}
	var archive bytes.Buffer
	w := &writer{Writer: tar.NewWriter(&archive)}
	added := o.added()
	for _, dir := range []string{"bin", "sbin", "usr", "usr/bin", "etc", "home", "root", "var", "var/run", "run"} {
		w.add(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	for _, dir := range []string{"tmp", "var/tmp"} {
		w.add(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	}
	for _, file := range []struct{ name, content string }{
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"},
		{"etc/group", "root:x:0:\nnogroup:x:65534:\n"},
	} {
		if _, replaced := added[file.name]; !replaced {
			w.text(file.name, file.content)
		}
	}
	w.copy(o.busybox, "bin/busybox")
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "busybox" {
			w.add(&tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		w.copy(added[name], name)
	}
	if w.err != nil {
		return nil, w.err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
}

// writer writes files until the first error, which it keeps.
type writer struct {
	*tar.Writer
	err error
}

func (w *writer) add(header *tar.Header, content []byte) {
	if w.err != nil {
		return
	}
	header.Size = int64(len(content))
	if w.err = w.WriteHeader(header); w.err == nil {
		_, w.err = w.Write(content)
	}
}

func (w *writer) text(name, content string) {
	w.add(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, []byte(content))
}

// copy copies a file of this machine with its mode, or a folder with all that is
// in it.
func (w *writer) copy(source, name string) {
	if w.err != nil {
		return
	}
	w.err = filepath.WalkDir(source, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		header, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		// Neither owner nor time, so that copies make the same image.
		header = &tar.Header{Name: path.Join(name, filepath.ToSlash(inside)), Typeflag: header.Typeflag, Mode: header.Mode}
		var content []byte
		if info.IsDir() {
			header.Name += "/"
		} else if content, err = os.ReadFile(file); err != nil {
			return err
		}
		w.add(header, content)
		return w.err
	})
}
