package containerd_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	criapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	cri "k8s.io/cri-client/pkg"

	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/containerd/containerdtest"
	"github.com/garrison-project/garrison/internal/agent/pause"
)

// runImporter runs an importer until stop is called.
func runImporter(t *testing.T, importer *containerd.Importer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- importer.Run(ctx) }()
	select {
	case <-importer.Ready():
	case err := <-done:
		t.Fatalf("the importer ended at once: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the importer does not get ready")
	}
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func newImageClient(t *testing.T, c *containerd.Containerd) criapi.ImageManagerService {
	t.Helper()
	service, err := cri.NewRemoteImageServiceBuilder().WithEndpoint(c.Endpoint()).WithConnectionTimeout(time.Minute).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close(context.Background()) })
	return service
}

func has(t *testing.T, images criapi.ImageManagerService, name string) bool {
	t.Helper()
	status, err := images.ImageStatus(t.Context(), &runtimeapi.ImageSpec{Image: name}, false)
	if err != nil {
		t.Fatal(err)
	}
	return status.Image != nil
}

func TestImporter(t *testing.T) {
	c := containerdtest.Start(t)
	images, dir := newImageClient(t, c), t.TempDir()
	archive := func(file string, names ...string) string {
		t.Helper()
		path := filepath.Join(dir, file)
		if err := containerdtest.WriteArchive(path, names...); err != nil {
			t.Fatal(err)
		}
		return path
	}
	archive("one.tar", "garrison.dev/one:1", "short:2")
	compress(t, archive("plain.tar", "garrison.dev/zipped:1"), filepath.Join(dir, "zipped.tar.gz"))
	layoutArchive(t, archive("plain.tar", "garrison.dev/plain:1"), filepath.Join(dir, "layout.tar"))
	if err := os.Remove(filepath.Join(dir, "plain.tar")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.tar"), []byte("this is no archive, though it is longer than a block"), 0o644); err != nil {
		t.Fatal(err)
	}

	importer := c.Importer(dir)
	var told atomic.Int32
	importer.OnImport(func() { told.Add(1) })
	stop := runImporter(t, importer)
	want := []string{"docker.io/library/short:2", "garrison.dev/laid/out:1", "garrison.dev/one:1", pause.Image, "garrison.dev/zipped:1"}
	for _, image := range append(want, "short:2") {
		if !has(t, images, image) {
			t.Errorf("%s was not imported", image)
		}
	}
	if got := importer.Images(); !slices.Equal(got, want) {
		t.Errorf("it says it imported %q, want %q", got, want)
	}
	if failures := importer.Failures(); len(failures) != 1 || failures["bad.tar"] == nil {
		t.Errorf("got failures %v, want one of bad.tar", failures)
	}

	// One that appears while it runs, and one that was bad and gets better.
	archive("late.tar", "garrison.dev/late:1")
	archive("bad.tar", "garrison.dev/better:1")
	within(t, "the new archives are imported", func() bool {
		return len(importer.Failures()) == 0 && len(importer.Images()) == len(want)+2
	})
	if !has(t, images, "garrison.dev/late:1") || !has(t, images, "garrison.dev/better:1") {
		t.Error("the new images are not there")
	}
	stop()
	if got := told.Load(); got != 5 {
		t.Errorf("it told of %d imports, want 5", got)
	}

	// A new agent imports only what is not there any more, which is seen by a
	// removed image that stays away when its archive does.
	for _, gone := range []string{"garrison.dev/one:1", "garrison.dev/late:1"} {
		if err := images.RemoveImage(t.Context(), &runtimeapi.ImageSpec{Image: gone}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "late.tar")); err != nil {
		t.Fatal(err)
	}
	importer = c.Importer(dir)
	stop = runImporter(t, importer)
	defer stop()
	if !has(t, images, "garrison.dev/one:1") {
		t.Error("an image that was removed was not imported again at the next start")
	}
	if has(t, images, "garrison.dev/late:1") || slices.Contains(importer.Images(), "garrison.dev/late:1") {
		t.Error("an image came back without its archive")
	}
}

// An archive that is written slowly is not an error.
func TestImporterWaitsForTheEnd(t *testing.T) {
	c := containerdtest.Start(t)
	images, dir := newImageClient(t, c), t.TempDir()
	whole := filepath.Join(t.TempDir(), "whole.tar")
	if err := containerdtest.WriteArchive(whole, "garrison.dev/slow:1"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	importer := c.Importer(dir)
	defer runImporter(t, importer)()
	file, err := os.Create(filepath.Join(dir, "slow.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const parts = 4
	for part := range parts {
		if _, err := file.Write(content[len(content)*part/parts : len(content)*(part+1)/parts]); err != nil {
			t.Fatal(err)
		}
		// This is how slowly it is written, and not a wait for anything.
		time.Sleep(200 * time.Millisecond)
		if failures := importer.Failures(); len(failures) > 0 {
			t.Fatalf("half an archive was read: %v", failures)
		}
	}
	within(t, "it is imported", func() bool { return slices.Contains(importer.Images(), "garrison.dev/slow:1") })
	if !has(t, images, "garrison.dev/slow:1") {
		t.Error("the image is not there")
	}
}

// The same importer serves a containerd that others run.
func TestImporterOfForeignContainerd(t *testing.T) {
	c := containerdtest.Start(t)
	dir := t.TempDir()
	if err := containerdtest.WriteArchive(filepath.Join(dir, "a.tar"), "garrison.dev/foreign:1"); err != nil {
		t.Fatal(err)
	}
	importer, err := containerd.NewImporter(containerd.ImporterConfig{Dir: dir, Endpoint: c.Endpoint(), Memory: filepath.Join(t.TempDir(), "memory.json")})
	if err != nil {
		t.Fatal(err)
	}
	defer runImporter(t, importer)()
	if failures := importer.Failures(); len(failures) > 0 {
		t.Error(failures)
	}
	// Its layers are unpacked when the first container is made.
	client := newClient(t, c.Endpoint())
	_, container := client.run(work{name: "a", image: "garrison.dev/foreign:1"})
	client.exec(container, "true")
}

func compress(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := gzip.NewWriter(file)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// layoutArchive turns an archive in docker's form into one in OCI's.
func layoutArchive(t *testing.T, from, to string) {
	t.Helper()
	tag, err := name.NewTag("garrison.dev/plain:1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(from, &tag)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	annotations := map[string]string{"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "garrison.dev/laid/out:1"}
	if err := path.AppendImage(image, layout.WithAnnotations(annotations)); err != nil {
		t.Fatal(err)
	}
	archiveFolder(t, dir, to)
}

func archiveFolder(t *testing.T, dir, to string) {
	t.Helper()
	file, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := tar.NewWriter(file)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
