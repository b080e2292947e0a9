package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/agent/credentials"
)

// credentials are those that the pod's pull secrets have for an image. Secrets that
// are missing are told; the image may be open to all.
func (a *Agent) credentials(ctx context.Context, object *corev1.Pod, image string) []Credential {
	if a.Objects == nil {
		return nil
	}
	var secrets []*corev1.Secret
	var missing []string
	for _, ref := range object.Spec.ImagePullSecrets {
		if ref.Name == "" {
			continue
		}
		secret, err := a.Objects.Secret(ctx, object.Namespace, ref.Name)
		if err != nil {
			missing = append(missing, ref.Name)
			continue
		}
		secrets = append(secrets, secret)
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		a.tell(object, "", warning("FailedToRetrieveImagePullSecret", fmt.Sprintf(
			"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", strings.Join(missing, ", "))))
	}
	found, err := credentials.For(image, secrets)
	if err != nil {
		klog.FromContext(ctx).Info("Some pull secrets are of no use", "pod", klog.KObj(object), "image", image, "reason", err)
	}
	var out []Credential
	for _, c := range found {
		out = append(out, Credential(c))
	}
	return out
}
