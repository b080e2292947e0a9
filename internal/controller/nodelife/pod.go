package nodelife

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/podstatus"
)

// evictionReason is the reason of events about evictions.
const evictionReason = "TaintManagerEviction"

// StepPod judges once whether taints drive a pod from its node.
func (c *Controller) StepPod(ctx context.Context, key types.NamespacedName) (time.Time, error) {
	pod, err := c.podsOf.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		c.relieve(key)
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	node, err := c.nodes.Get(pod.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	now := c.Clock.Now()
	verdict := evict(evictionView{Pod: pod, Taints: node.Spec.Taints, Since: c.suffers(key, now), Now: now})
	switch {
	case verdict.Evict:
		return time.Time{}, c.evict(ctx, pod)
	case verdict.At.IsZero():
		if c.relieve(key) && pod.DeletionTimestamp == nil {
			c.tellOfPod(pod, podEvent{corev1.EventTypeNormal, evictionReason, "Cancelling deletion of Pod " + key.String()})
		}
		return time.Time{}, nil
	}
	c.suffer(key, now)
	return verdict.At, nil
}

// evict marks a pod as disrupted and deletes it with its own grace.
func (c *Controller) evict(ctx context.Context, pod *corev1.Pod) error {
	name := nameOf(pod)
	if target := podstatus.Condition(&pod.Status, corev1.DisruptionTarget); target == nil || target.Status != corev1.ConditionTrue {
		marked := pod.DeepCopy()
		podstatus.SetCondition(&marked.Status, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
			Reason: "DeletionByTaintManager", Message: "Taint manager: deleting due to NoExecute taint",
			LastTransitionTime: metav1.NewTime(c.Clock.Now()), ObservedGeneration: pod.Generation,
		})
		if _, err := c.Writer.UpdatePodStatus(ctx, marked); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("mark pod %s for eviction: %w", name, err)
		}
	}
	err := c.Writer.DeletePod(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("evict pod %s: %w", name, err)
	}
	c.relieve(name)
	c.tellOfPod(pod, podEvent{corev1.EventTypeNormal, evictionReason, "Marking for deletion Pod " + name.String()})
	return nil
}

// suffers returns since when a pod has been under taints, now if that is new.
func (c *Controller) suffers(pod types.NamespacedName, now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since, ok := c.suffering[pod]; ok {
		return since
	}
	return now
}

// suffer notes that a pod is under taints that will drive it out.
func (c *Controller) suffer(pod types.NamespacedName, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.suffering[pod]; !ok {
		c.suffering[pod] = now
	}
}

// relieve forgets that a pod was to be driven out, and tells whether it was.
func (c *Controller) relieve(pod types.NamespacedName) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.suffering[pod]
	delete(c.suffering, pod)
	return ok
}
