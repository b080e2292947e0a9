package cri

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// normalize gives an image's full name, with registry and tag or digest. What
// looks like an ID stays as it is.
func normalize(image string) (string, error) {
	if strings.HasPrefix(image, "sha256:") {
		return image, nil
	}
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return "", &agent.Failure{Reason: reasonInvalidImage, Err: fmt.Errorf("failed to apply default image tag %q: couldn't parse image name %q: %w", image, image, err)}
	}
	return named.String(), nil
}

// ImageID implements agent.Runtime. What cannot be a name is not present; who
// wants to pull it learns why.
func (r *Runtime) ImageID(ctx context.Context, image string) (string, error) {
	name, err := normalize(image)
	if err != nil {
		return "", nil
	}
	found, err := r.image(ctx, name)
	return found.GetId(), err
}

// image gives an image, nil if it is not present.
func (r *Runtime) image(ctx context.Context, name string) (*runtimeapi.Image, error) {
	response, err := r.images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}})
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, &agent.Failure{Reason: reasonInspect, Err: fmt.Errorf("failed to inspect image %q: %w", name, plain(err))}
	}
	return response.GetImage(), nil
}

// imageUser is the user that an image runs as.
func (r *Runtime) imageUser(ctx context.Context, id string) (imageUser, error) {
	image, err := r.image(ctx, id)
	if err != nil {
		return imageUser{}, err
	}
	if uid := image.GetUid(); uid != nil {
		return imageUser{uid: &uid.Value}, nil
	}
	if name := image.GetUsername(); name != "" {
		return imageUser{name: name}, nil
	}
	return imageUser{uid: new(int64)}, nil // root
}

// PullImage implements agent.Runtime.
func (r *Runtime) PullImage(ctx context.Context, pull agent.Pull) (string, error) {
	name, err := normalize(pull.Image)
	if err != nil {
		return "", err
	}
	request := &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: name, UserSpecifiedImage: pull.Image}}
	if pull.Pod != nil {
		request.Image.Annotations = pull.Pod.Annotations
	}
	auths := make([]*runtimeapi.AuthConfig, 0, len(pull.Credentials)+1)
	for _, c := range pull.Credentials {
		auths = append(auths, &runtimeapi.AuthConfig{Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken})
	}
	auths = append(auths, nil)
	var problems []error
	for _, request.Auth = range auths {
		response, err := r.images.PullImage(ctx, request)
		if err == nil {
			return r.pulled(ctx, name, response.GetImageRef())
		}
		problems = append(problems, plain(err))
		if ctx.Err() != nil {
			break
		}
	}
	return "", pullFailure(name, problems)
}

// pulled gives the ID of an image under the name it was pulled by: what a pull
// returns may be a digest, and not the ID.
func (r *Runtime) pulled(ctx context.Context, name, ref string) (string, error) {
	image, err := r.image(ctx, name)
	if err != nil {
		return "", err
	}
	if image == nil {
		return ref, nil
	}
	return image.GetId(), nil
}

// pullFailure gives what all attempts failed with, and the reason of the last.
func pullFailure(image string, problems []error) error {
	last := problems[len(problems)-1].Error()
	for prefix, text := range map[string]string{
		reasonRegistryUnavailable: "the registry is unavailable",
		reasonSignature:           "the signature validation failed",
	} {
		if rest, found := strings.CutPrefix(last, prefix); found {
			return &agent.Failure{Reason: prefix, Err: fmt.Errorf("image pull failed for %s because %s%s", image, text, rest)}
		}
	}
	seen := map[string]bool{}
	var distinct []error
	for _, p := range problems {
		if !seen[p.Error()] {
			seen[p.Error()] = true
			distinct = append(distinct, p)
		}
	}
	if len(distinct) == 1 {
		return &agent.Failure{Reason: reasonPull, Err: distinct[0]}
	}
	return &agent.Failure{Reason: reasonPull, Err: errors.Join(distinct...)}
}

// Images implements agent.Runtime.
func (r *Runtime) Images(ctx context.Context) ([]agent.Image, error) {
	response, err := r.images.ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", plain(err))
	}
	images := make([]agent.Image, 0, len(response.GetImages()))
	for _, image := range response.GetImages() {
		images = append(images, agent.Image{
			ID: image.GetId(), Tags: image.GetRepoTags(), Digest: image.GetRepoDigests(),
			Size: int64(image.GetSize()), Pinned: image.GetPinned(),
		})
	}
	return images, nil
}

// RemoveImage implements agent.Runtime.
func (r *Runtime) RemoveImage(ctx context.Context, id string) error {
	_, err := r.images.RemoveImage(ctx, &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: id}})
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("remove image %s: %w", id, plain(err))
	}
	return nil
}
