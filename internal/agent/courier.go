package agent

import (
	"context"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// awayPause is how long a write waits while the API cannot be reached.
const awayPause = 2 * time.Second

// courier makes the agent's writes, and knows whether they arrive. That they do not
// is logged once, and not for each pod.
type courier struct {
	writer Writer
	away   atomic.Bool
}

func (c *courier) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	created, err := c.writer.CreatePod(ctx, pod)
	return created, c.note(ctx, err)
}

func (c *courier) UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	updated, err := c.writer.UpdatePodStatus(ctx, pod)
	return updated, c.note(ctx, err)
}

func (c *courier) DeletePod(ctx context.Context, name types.NamespacedName, options metav1.DeleteOptions) error {
	return c.note(ctx, c.writer.DeletePod(ctx, name, options))
}

// note takes in how a write ended, and returns its error.
func (c *courier) note(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	away := unanswered(err)
	if was := c.away.Swap(away); was == away {
		return err
	}
	if away {
		klog.FromContext(ctx).Error(err, "The API server cannot be reached: pods are looked after, and reported later")
	} else {
		klog.FromContext(ctx).Info("The API server can be reached again")
	}
	return err
}

// unanswered tells whether an error is not an answer of the API server.
func unanswered(err error) bool {
	return err != nil && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown
}

// later turns the error of a write that did not arrive into another try.
func (a *Agent) later(err error) (time.Time, error) {
	if unanswered(err) {
		return a.Clock.Now().Add(awayPause), nil
	}
	return time.Time{}, err
}
