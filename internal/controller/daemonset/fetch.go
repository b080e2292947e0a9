package daemonset

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/prepull"
	"github.com/garrison-project/garrison/internal/view"
)

// requestImages asks the agents of pods to fetch the images of the revision. A pod
// that is gone, or another by now, need not be asked.
func (t *turn) requestImages(ctx context.Context, hash string, actions []rollout.Action) error {
	request := view.PullRequest(t.ds, hash, t.clock.Now()).String()
	errs := parallel(actions, func(a rollout.Action) error {
		body, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid":         a.UID, // or the patch would hit another pod of the name
			"annotations": map[string]string{prepull.Annotation: request},
		}})
		if err != nil {
			return err
		}
		_, err = t.client.CoreV1().Pods(t.ds.Namespace).Patch(ctx, a.Pod, types.StrategicMergePatchType, body, metav1.PatchOptions{})
		return err
	})
	for i, err := range errs {
		switch {
		case err == nil:
			t.expectRequest(actions[i], request)
		case apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err):
		default:
			return fmt.Errorf("ask for the images of the successor of pod %s: %w", actions[i].Pod, err)
		}
	}
	return nil
}

// expectRequest waits for the caches to show that a pod's agent has been asked.
func (t *turn) expectRequest(a rollout.Action, request string) {
	namespace := t.ds.Namespace
	t.memory.ledger.expect(expectation{
		what: "request for images to pod " + a.Pod,
		shown: func() bool {
			cached, err := t.pods.Pods(namespace).Get(a.Pod)
			return apierrors.IsNotFound(err) || err == nil && (string(cached.UID) != a.UID || cached.Annotations[prepull.Annotation] == request)
		},
		void: func(ctx context.Context) (bool, error) {
			live, err := t.client.CoreV1().Pods(namespace).Get(ctx, a.Pod, metav1.GetOptions{})
			return err == nil && string(live.UID) == a.UID && live.Annotations[prepull.Annotation] != request, ignoreNotFound(err)
		},
	})
}
