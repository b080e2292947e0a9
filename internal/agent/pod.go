package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/podstep"
	"github.com/garrison-project/garrison/internal/view"
)

// source is who asks for a pod.
type source int

const (
	fromAPI source = iota
	// fromFile: the machine itself asks, and a mirror pod shows it in the API.
	fromFile
	// fromRuntime: nobody does; something of it was found.
	fromRuntime
)

// pod is all that is known of one pod, from when it is first seen until nothing
// of it is left.
type pod struct {
	uid    types.UID
	source source

	// What follows belongs to the step of this pod.
	memory podstep.Memory
	// settled: nothing of it is left on the machine.
	settled bool
	// told are the events that need not be repeated.
	told told

	mu sync.Mutex
	// object is as last asked for. It is never changed, only replaced.
	object *corev1.Pod
	// gone: nobody asks for it any more.
	gone bool
	// admitted pods may start; failure is set for those that may not, and for
	// those that were evicted.
	admitted bool
	failure  *podstep.Failure
	// seen is when this agent has admitted it, zero once it has run.
	seen time.Time
	// disruption says why it had to leave the node, nil if it had not.
	disruption *corev1.PodCondition
	// subject is what it takes of the node; nil once it takes nothing any more. A
	// pod that waits for others to leave has it before it is admitted.
	subject  *place.Subject
	ongoing  []*operation
	outcomes []podstep.Outcome
	volumes  volumes
	report   *report
	// written is the API's object as the last write left it; it is newer than
	// object as long as that is still the version it replaced.
	written  *corev1.Pod
	replaced string
}

// operation is one that was begun and has not ended.
type operation struct {
	podstep.Operation
	cancel context.CancelFunc
}

// waits tells whether it is not decided yet that the pod may start.
func (p *pod) waits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.admitted && p.failure == nil && !p.gone
}

// name is the pod's namespace and name.
func (p *pod) name() types.NamespacedName {
	object := p.current()
	return types.NamespacedName{Namespace: object.Namespace, Name: object.Name}
}

// current is the object as last asked for. It must not be changed.
func (p *pod) current() *corev1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.object
}

// isGone tells whether nobody asks for the pod any more.
func (p *pod) isGone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// latest is the API's object, or our own last write of it if the cache has not seen
// that yet.
func (p *pod) latest(cached *corev1.Pod) *corev1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.written != nil && p.written.UID == cached.UID && p.replaced == cached.ResourceVersion {
		return p.written
	}
	return cached
}

// wrote notes a write of the API's object while the cache had an older one.
func (p *pod) wrote(cached, written *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written, p.replaced = written, cached.ResourceVersion
}

// deletion is the wish that the pod be gone, nil if there is none.
func (p *pod) deletion() *podstep.Deletion {
	p.mu.Lock()
	defer p.mu.Unlock()
	given := p.object.DeletionGracePeriodSeconds
	switch {
	case p.object.DeletionTimestamp == nil && !p.gone:
		return nil
	case given != nil && (*given > 0 || !p.gone):
		return &podstep.Deletion{Grace: view.Seconds(*given)}
	}
	// One that is deleted without grace is gone from the API at once, which says
	// nothing of how long its containers may take.
	return &podstep.Deletion{Grace: graceOf(p.object)}
}

func graceOf(object *corev1.Pod) time.Duration {
	return view.Seconds(ptr.Deref(object.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds))
}

// take gives the ongoing operations, and the outcomes that no step has had.
func (p *pod) take() (ongoing []podstep.Operation, outcomes []podstep.Outcome) {
	p.mu.Lock()
	for _, o := range p.ongoing {
		ongoing = append(ongoing, o.Operation)
	}
	outcomes, p.outcomes = p.outcomes, nil
	p.mu.Unlock()
	return ongoing, outcomes
}

// giveBack keeps outcomes for the next step.
func (p *pod) giveBack(outcomes []podstep.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcomes = append(outcomes, p.outcomes...)
}

// ended notes how an operation ended.
func (p *pod) ended(o *operation, outcome podstep.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ongoing = slices.DeleteFunc(p.ongoing, func(other *operation) bool { return other == o })
	p.outcomes = append(p.outcomes, outcome)
}

// cancel cancels an ongoing operation.
func (p *pod) cancel(op podstep.Operation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.ongoing {
		if o.Operation == op {
			o.cancel()
		}
	}
}
