package cri_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/garrison-project/garrison/internal/agent"
)

// serveRegistry serves a registry with one image, for those who know a password.
func serveRegistry(t *testing.T) (image string, refused *atomic.Int32) {
	t.Helper()
	refused = &atomic.Int32{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "reader" || password != "open sesame" {
			refused.Add(1)
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	content, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := push(inner, content, "private/image", "1"); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(server.URL, "http://") + "/private/image:1", refused
}

// push puts an image into a registry, past the door.
func push(registry http.Handler, image v1.Image, repository, tag string) error {
	file, err := image.ConfigFile()
	if err != nil {
		return err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return err
	}
	put := func(method, path, mediaType string, content []byte) error {
		request := httptest.NewRequest(method, "/v2/"+repository+path, bytes.NewReader(content))
		request.Header.Set("Content-Type", mediaType)
		answer := httptest.NewRecorder()
		registry.ServeHTTP(answer, request)
		if answer.Code != http.StatusCreated {
			return fmt.Errorf("%s %s: %d %s", method, path, answer.Code, answer.Body)
		}
		return nil
	}
	blobs, err := blobsOf(image)
	if err != nil {
		return err
	}
	for _, content := range blobs {
		path := fmt.Sprintf("/blobs/uploads/?digest=sha256:%x", sha256.Sum256(content))
		if err := put(http.MethodPost, path, "application/octet-stream", content); err != nil {
			return err
		}
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return err
	}
	mediaType, err := image.MediaType()
	if err != nil {
		return err
	}
	return put(http.MethodPut, "/manifests/"+tag, string(mediaType), manifest)
}

// blobsOf are the configuration and the layers of an image.
func blobsOf(image v1.Image) ([][]byte, error) {
	config, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	blobs := [][]byte{config}
	for _, layer := range layers {
		reader, err := layer.Compressed()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(reader)
		if err := errors.Join(err, reader.Close()); err != nil {
			return nil, err
		}
		blobs = append(blobs, content)
	}
	return blobs, nil
}

func TestPullFromARegistry(t *testing.T) {
	l := newLab(t)
	image, refused := serveRegistry(t)
	wrong := agent.Credential{Username: "reader", Password: "open barley"}
	_, err := l.PullImage(t.Context(), agent.Pull{Image: image, Credentials: []agent.Credential{wrong}})
	if reasonOf(err) != "ErrImagePull" || strings.Contains(err.Error(), "barley") || refused.Load() < 2 {
		t.Errorf("want ErrImagePull after two tries, not %v after %d", err, refused.Load())
	}
	right := agent.Credential{Username: "reader", Password: "open sesame"}
	id, err := l.PullImage(t.Context(), agent.Pull{Image: image, Credentials: []agent.Credential{wrong, right}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := l.ImageID(t.Context(), image); err != nil || got != id {
		t.Errorf("pulled %s, and there is %q (%v)", id, got, err)
	}
	if err := l.RemoveImage(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got, err := l.ImageID(t.Context(), image); err != nil || got != "" {
		t.Errorf("it was removed, and there is %q (%v)", got, err)
	}
}
