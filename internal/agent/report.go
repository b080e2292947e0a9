package agent

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/core/podstep"
	"github.com/garrison-project/garrison/internal/view"
)

// gathering is how long a status waits for what may follow at once, unless it says
// something that others wait for. So a pod that starts costs one write.
const gathering = 200 * time.Millisecond

// report is what is to be told of a pod. It is never changed, only replaced.
type report struct {
	status  podstep.Status
	holding Holding
	// generation is that of the spec that was acted upon.
	generation int64
	// done: nothing of the pod is left, and the API's object may go.
	done bool
	// idle: there is nothing in the runtime that the status could come from.
	idle bool
}

// report hands over what a step found out.
func (a *Agent) report(p *pod, d podstep.Decision, holding Holding) {
	if p.source == fromRuntime {
		return
	}
	a.noteStart(p, d.Status.Phase)
	object := p.current()
	r := &report{
		status: d.Status, holding: holding, generation: object.Generation,
		done: d.Done && p.settled, idle: len(holding.Containers) == 0,
	}
	p.mu.Lock()
	before := p.report
	p.report = r
	p.mu.Unlock()
	if r.done || before != nil && isNews(&before.status, &r.status) || d.Status.Phase.Ended() || object.DeletionTimestamp != nil {
		a.reports.Add(p.uid)
		return
	}
	a.reports.AddAt(p.uid, a.Clock.Now().Add(gathering))
}

// isNews tells whether others may wait for what has changed.
func isNews(before, after *podstep.Status) bool {
	return before.Phase != after.Phase || isReady(before) != isReady(after)
}

func isReady(s *podstep.Status) bool {
	for _, c := range s.Conditions {
		if c.Type == string(corev1.PodReady) {
			return c.Holds
		}
	}
	return false
}

// apiObject is what the API has of a pod: of a static pod, its mirror. It is nil
// if the API has nothing.
func (a *Agent) apiObject(p *pod) *corev1.Pod {
	switch p.source {
	case fromAPI:
		if p.isGone() {
			return nil
		}
		return p.latest(p.current())
	case fromFile:
		if mirror := a.mirror(p.name()); mirror != nil && mirror.Annotations[corev1.MirrorPodAnnotationKey] == string(p.uid) {
			return p.latest(mirror)
		}
	}
	return nil
}

// StepReport tells the API what a pod has come to, if that differs from what it
// has, and has it drop a pod of which nothing is left.
func (a *Agent) StepReport(ctx context.Context, uid types.UID) (time.Time, error) {
	p := a.roster.get(uid)
	if p == nil {
		return time.Time{}, nil
	}
	p.mu.Lock()
	r := p.report
	p.mu.Unlock()
	object := a.apiObject(p)
	if r == nil || object == nil {
		return time.Time{}, nil
	}
	err := a.writeStatus(ctx, p, r, object)
	if err == nil && r.done && p.source == fromAPI {
		err = a.deleteObject(ctx, object)
	}
	return a.later(err)
}

// writeStatus writes the status if it has changed.
func (a *Agent) writeStatus(ctx context.Context, p *pod, r *report, object *corev1.Pod) error {
	if ended(object) && string(object.Status.Phase) == string(r.status.Phase) && r.idle {
		return nil // an end that was reported when more was known
	}
	status := view.PodStatus(view.PodReport{
		Pod: object, Generation: min(r.generation, object.Generation), Status: r.status,
		Containers: detailsOf(r.holding), PodIPs: sandboxIPs(r.holding), HostIPs: a.hostIPs(),
		Others:  append(a.prepulls.conditions(p.uid), p.disrupted()...),
		Runtime: a.scheme, Now: a.Clock.Now(),
	})
	if equality.Semantic.DeepEqual(object.Status, status) {
		return nil
	}
	changed := object.DeepCopy()
	changed.Status = status
	cached := a.cached(p)
	written, err := a.Writer.UpdatePodStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("update status of pod %s: %w", p.name(), err)
	}
	if cached != nil {
		p.wrote(cached, written)
	}
	return nil
}

// cached is the API's object as the cache has it.
func (a *Agent) cached(p *pod) *corev1.Pod {
	if p.source == fromFile {
		return a.mirror(p.name())
	}
	return p.current()
}

func detailsOf(h Holding) map[string]view.ContainerDetail {
	out := make(map[string]view.ContainerDetail, len(h.Containers))
	for _, c := range h.Containers {
		out[c.ID] = view.ContainerDetail{Image: c.Image, ImageID: c.ImageID, User: c.User}
	}
	return out
}

// deleteObject removes a pod from the API. With finalizers it may stay for a
// while, which is no affair of ours.
func (a *Agent) deleteObject(ctx context.Context, object *corev1.Pod) error {
	if ptr.Deref(object.DeletionGracePeriodSeconds, 1) == 0 && len(object.Finalizers) > 0 {
		return nil
	}
	name := types.NamespacedName{Namespace: object.Namespace, Name: object.Name}
	err := a.Writer.DeletePod(ctx, name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0),
		Preconditions:      &metav1.Preconditions{UID: &object.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod %s: %w", name, err)
	}
	return nil
}
