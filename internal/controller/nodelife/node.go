package nodelife

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/podstatus"
)

// StepNode judges one node once and returns when it is next due.
func (c *Controller) StepNode(ctx context.Context, name string) (time.Time, error) {
	node, err := c.nodes.Get(name)
	if apierrors.IsNotFound(err) {
		c.look(func() { c.wake(c.ledger.forget(name)) })
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	var p plan
	c.look(func() { p = c.ledger.plan(c.heartbeat(node), c.Clock.Now()) })
	c.wake(p.Others)
	return p.Wake, c.act(ctx, node, p)
}

// act carries out the plan for a node, in the order in which others should
// learn of it: the node, its pods, and who may stay.
func (c *Controller) act(ctx context.Context, node *corev1.Node, p plan) error {
	if p.Conditions != nil {
		silent := node.DeepCopy()
		silent.Status.Conditions = p.Conditions
		var err error
		if node, err = c.Writer.UpdateNodeStatus(ctx, silent); err != nil {
			return fmt.Errorf("report that node %s is silent: %w", silent.Name, err)
		}
	}
	c.look(func() { c.ledger.commit(node, p) })
	if p.Fell {
		c.tellOfNode(node, "NodeNotReady", "Node "+node.Name+" status is now: NodeNotReady")
	}
	var told error
	if p.Tell {
		told = c.markPodsNotReady(ctx, node)
	}
	return errors.Join(told, c.taint(ctx, node, p.Taints))
}

// taint replaces the taints of a node, unless they are nil.
func (c *Controller) taint(ctx context.Context, node *corev1.Node, wanted []corev1.Taint) error {
	if wanted == nil {
		return nil
	}
	tainted := node.DeepCopy()
	tainted.Spec.Taints = wanted
	_, err := c.Client.CoreV1().Nodes().Update(ctx, tainted, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("taint node %s: %w", node.Name, err)
	}
	return nil
}

// look uses the ledger.
func (c *Controller) look(use func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	use()
}

func (c *Controller) wake(names []string) {
	for _, name := range names {
		c.nodeLoop.Add(name)
	}
}

// heartbeat gathers the signs of life of a node.
func (c *Controller) heartbeat(node *corev1.Node) heartbeat {
	h := heartbeat{Node: node}
	if lease, err := c.leases.Get(node.Name); err == nil && lease.Spec.RenewTime != nil {
		h.Renewed = *lease.Spec.RenewTime
	}
	return h
}

// markPodsNotReady takes the Ready condition from the pods of a bad node.
func (c *Controller) markPodsNotReady(ctx context.Context, node *corev1.Node) error {
	var failures []error
	for _, pod := range c.podsOn(node.Name) {
		ready := podstatus.Condition(&pod.Status, corev1.PodReady)
		if ready == nil || ready.Status != corev1.ConditionTrue {
			continue
		}
		marked, down := pod.DeepCopy(), *ready
		down.Status, down.LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(c.Clock.Now())
		podstatus.SetCondition(&marked.Status, down)
		_, err := c.Writer.UpdatePodStatus(ctx, marked)
		if err == nil {
			c.tellOfPod(pod, podEvent{corev1.EventTypeWarning, "NodeNotReady", "Node is not ready"})
		} else if !apierrors.IsNotFound(err) {
			failures = append(failures, fmt.Errorf("mark pod %s not ready: %w", nameOf(pod), err))
		}
	}
	if len(failures) == 0 {
		c.look(func() { c.ledger.told(node) })
	}
	return errors.Join(failures...)
}
