package pause

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image is the name of the image. Another program needs another tag: a runtime
// that has this one is not given it again.
const Image = "garrison.dev/pause:1"

// user is one who owns nothing.
const user = "65535:65535"

// WriteArchive writes the image for an architecture as an archive that container
// runtimes import. The same image is the same bytes each time.
func WriteArchive(w io.Writer, arch string) error {
	image, err := build(arch)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(Image)
	if err != nil {
		return fmt.Errorf("name the pause image: %w", err)
	}
	if err := tarball.Write(tag, image, w); err != nil {
		return fmt.Errorf("write the pause image: %w", err)
	}
	return nil
}

func build(arch string) (v1.Image, error) {
	layer, err := layer(arch)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("make the pause image: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("make the pause image: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", arch
	file.Config = v1.Config{Entrypoint: []string{"/pause"}, User: user}
	return mutate.ConfigFile(image, file)
}

// layer is a root file system with nothing but the program.
func layer(arch string) (v1.Layer, error) {
	program, err := Program(arch)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := tar.Header{Name: "pause", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))}
	if err := w.WriteHeader(&header); err != nil {
		return nil, fmt.Errorf("archive the pause program: %w", err)
	}
	if _, err := w.Write(program); err != nil {
		return nil, fmt.Errorf("archive the pause program: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archive the pause program: %w", err)
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
}
