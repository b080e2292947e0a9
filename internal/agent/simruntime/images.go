package simruntime

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/garrison-project/garrison/internal/agent"
)

// missingTag is of images that no registry has, as on simulated nodes.
const missingTag = "non-existent"

// AddImage makes an image present, as if it had been imported.
func (r *Runtime) AddImage(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images[name] = imageNamed(name)
}

// imageNamed is what a registry has under a name.
func imageNamed(name string) agent.Image {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name)))
	image := agent.Image{ID: digest, Size: 4 << 20}
	if named, err := reference.ParseDockerRef(name); err == nil {
		image.Tags = []string{named.String()}
		image.Digest = []string{named.Name() + "@" + digest}
	}
	return image
}

// ImageID implements agent.Runtime.
func (r *Runtime) ImageID(ctx context.Context, image string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.images[image].ID, ctx.Err()
}

// PullImage implements agent.Runtime. Images with the tag non-existent cannot be
// pulled.
func (r *Runtime) PullImage(ctx context.Context, pull agent.Pull) (string, error) {
	call := Call{Method: "PullImage", Target: pull.Image}
	if pull.Pod != nil {
		call.Pod = nameOf(pull.Pod)
	}
	if err := r.ask(ctx, call); err != nil {
		return "", err
	}
	if _, err := reference.ParseDockerRef(pull.Image); err != nil {
		return "", &agent.Failure{Reason: "InvalidImageName", Err: fmt.Errorf("failed to apply default image tag %q: %w", pull.Image, err)}
	}
	if strings.HasSuffix(pull.Image, ":"+missingTag) {
		return "", &agent.Failure{Reason: "ErrImagePull", Err: fmt.Errorf("%s: not found", pull.Image)}
	}
	r.AddImage(pull.Image)
	return imageNamed(pull.Image).ID, nil
}

// Images implements agent.Runtime.
func (r *Runtime) Images(ctx context.Context) ([]agent.Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var images []agent.Image
	for _, name := range slices.Sorted(maps.Keys(r.images)) {
		images = append(images, r.images[name])
	}
	return images, ctx.Err()
}

// RemoveImage implements agent.Runtime.
func (r *Runtime) RemoveImage(ctx context.Context, id string) error {
	if err := r.ask(ctx, Call{Method: "RemoveImage", Target: id}); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.images, func(_ string, i agent.Image) bool { return i.ID == id })
	return nil
}
