package containerd

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/klauspost/compress/zstd"
)

// archiveSuffixes are the names that image archives go by. Other files in the
// folder, and those whose name starts with a dot, are on their way to such a
// name, or no concern of ours.
var archiveSuffixes = []string{".tar", ".tar.gz", ".tgz", ".tar.zst"}

func isArchive(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.ContainsFunc(archiveSuffixes, func(suffix string) bool {
		return strings.HasSuffix(name, suffix)
	})
}

// imageNames reads which images an archive has, in full and sorted. Images
// without a name of their own are left out.
func imageNames(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := decompress(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	defer content.Close()
	var docker, oci []string
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			switch path.Clean(header.Name) {
			case "manifest.json":
				docker, err = dockerNames(archive)
			case "index.json":
				oci, err = ociNames(archive)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	}
	names := slices.Concat(docker, oci)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// decompress tells by the first bytes how something is compressed.
func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReader(r)
	start, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return gzip.NewReader(buffered)
	case bytes.Equal(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		decoder, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return decoder.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}

// dockerNames reads the manifest.json that docker save writes.
func dockerNames(r io.Reader) ([]string, error) {
	var manifests []struct{ RepoTags []string }
	if err := json.NewDecoder(r).Decode(&manifests); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	var names []string
	for _, manifest := range manifests {
		for _, tag := range manifest.RepoTags {
			names = appendName(names, tag)
		}
	}
	return names, nil
}

// ociNames reads the index.json of an image layout. Its reference names may be
// no more than tags, which are of no use without a repository.
func ociNames(r io.Reader) ([]string, error) {
	var index struct {
		Manifests []struct{ Annotations map[string]string }
	}
	if err := json.NewDecoder(r).Decode(&index); err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	var names []string
	for _, manifest := range index.Manifests {
		if name := manifest.Annotations["io.containerd.image.name"]; name != "" {
			names = appendName(names, name)
		} else if name := manifest.Annotations["org.opencontainers.image.ref.name"]; strings.ContainsAny(name, "/:@") {
			names = appendName(names, name)
		}
	}
	return names, nil
}

// appendName adds a name in its full form, with registry and tag, as container
// runtimes list it.
func appendName(names []string, name string) []string {
	parsed, err := reference.ParseDockerRef(name)
	if err != nil {
		return names
	}
	return append(names, parsed.String())
}
