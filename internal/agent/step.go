package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/podstep"
	"github.com/garrison-project/garrison/internal/view"
)

// Step takes one pod one turn forward: it looks at what is asked for and what is
// there, lets core/podstep decide, begins what that wants, and hands its status
// to be reported. It waits for no operation; each that ends asks for a step.
func (a *Agent) Step(ctx context.Context, uid types.UID) (time.Time, error) {
	p := a.roster.get(uid)
	switch {
	case p == nil:
		return time.Time{}, nil
	case p.settled:
		a.forget(p)
		return time.Time{}, nil
	case !a.admit(p):
		return a.Clock.Now().Add(admissionPause), nil
	}
	object := p.current()
	wake := a.keepVolumes(p, object)
	ongoing, outcomes := p.take()
	holding := a.sight.holding(uid)
	in, err := a.look(ctx, p, sighting{object, holding, ongoing, outcomes})
	if err != nil {
		p.giveBack(outcomes)
		return time.Time{}, err
	}
	d := a.decide(ctx, p, in, holding)
	a.tellWaiting(p, object, &d.Status)
	a.tellDeadline(p, object, &d.Status)
	// What cannot be given back holds up the pod's removal, and not the news of it.
	err = a.settle(ctx, p, in, d)
	a.report(p, d, holding)
	if err != nil {
		return time.Time{}, err
	}
	return earliest(wake, d.WakeAt), nil
}

// admissionPause is how long a pod waits before it is asked again whether it may
// start, if that cannot be told yet.
const admissionPause = time.Second

// earliest is the first of two times; zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// sighting is what a step goes by: the pod as asked for, what the runtime holds,
// and the operations on the way between the two.
type sighting struct {
	object   *corev1.Pod
	holding  Holding
	ongoing  []podstep.Operation
	outcomes []podstep.Outcome
}

// look gathers the input of a step.
func (a *Agent) look(ctx context.Context, p *pod, s sighting) (podstep.Input, error) {
	if s.holding.Err != nil {
		return podstep.Input{}, fmt.Errorf("look at pod %s: %w", p.name(), s.holding.Err)
	}
	in := podstep.Input{
		Now:      a.Clock.Now(),
		Pod:      view.StepPod(s.object),
		Ongoing:  s.ongoing,
		Outcomes: s.outcomes,
		Deletion: p.deletion(),
		Memory:   p.memory,
	}
	if api := a.apiObject(p); api != nil {
		in.Reported = view.ReportedStatus(&api.Status)
	}
	in.Failure = p.failing(s.object)
	for _, sandbox := range s.holding.Sandboxes {
		in.Sandboxes = append(in.Sandboxes, sandbox.Sandbox)
	}
	for _, container := range s.holding.Containers {
		in.Containers = append(in.Containers, container.Record)
	}
	p.mu.Lock()
	in.Pod.VolumesReady = p.volumes.ready
	p.mu.Unlock()
	var err error
	if in.Images, err = a.images(ctx, &in); err != nil {
		return in, err
	}
	in.Probes = a.probe(p, s, &in)
	return in, nil
}

// failing is why the pod is to fail, nil if it is not. Others may have decided it,
// and written it to the API.
func (p *pod) failing(object *corev1.Pod) *podstep.Failure {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure == nil && p.source == fromAPI && object.Status.Phase == corev1.PodFailed {
		return &podstep.Failure{Reason: object.Status.Reason, Message: object.Status.Message}
	}
	return p.failure
}

// images are those of the pod's images that are present, as far as containers that
// do not run need them.
func (a *Agent) images(ctx context.Context, in *podstep.Input) ([]string, error) {
	if in.Deletion != nil || in.Failure != nil || in.Reported.Phase.Ended() {
		return nil, nil
	}
	var present, absent []string
	for _, list := range [][]podstep.Container{in.Pod.Init, in.Pod.Containers, in.Pod.Ephemeral} {
		for i := range list {
			image := list[i].Image
			if runs(in, list[i].Name) || slices.Contains(present, image) || slices.Contains(absent, image) {
				continue
			}
			id, err := a.Runtime.ImageID(ctx, image)
			if err != nil {
				return nil, fmt.Errorf("look for image %q: %w", image, err)
			}
			if id == "" {
				absent = append(absent, image)
			} else {
				present = append(present, image)
			}
		}
	}
	return present, nil
}

func runs(in *podstep.Input, container string) bool {
	return slices.ContainsFunc(in.Containers, func(r podstep.Record) bool {
		return r.Name == container && r.State == podstep.Running
	})
}

// decide asks core/podstep until it wants nothing more, and begins what it wants.
func (a *Agent) decide(ctx context.Context, p *pod, in podstep.Input, holding Holding) podstep.Decision {
	p.told.note(in.Outcomes)
	for {
		d := podstep.Step(in)
		p.memory = d.Memory
		for _, op := range d.Cancel {
			p.cancel(op)
		}
		if len(d.Operations) == 0 || ctx.Err() != nil {
			return d
		}
		op := d.Operations[0]
		a.start(p, task{Operation: op, pod: p.current(), holding: holding})
		in.Memory, in.Outcomes = d.Memory, nil
		in.Ongoing = append(in.Ongoing, op)
	}
}

// settle gives back what a pod used, once it has ended.
func (a *Agent) settle(ctx context.Context, p *pod, in podstep.Input, d podstep.Decision) error {
	if !d.Done && !isOver(in, d) {
		return nil
	}
	a.Prober.Forget(p.uid)
	a.vacate(p)
	if d.Done {
		// First, as the other files are what an agent that starts anew goes by.
		if err := a.removeLogs(p.current()); err != nil {
			return fmt.Errorf("remove the logs of pod %s: %w", p.name(), err)
		}
	}
	if down, err := a.tearDown(ctx, p, d.Done); err != nil || !down {
		return err
	}
	if a.Objects != nil {
		a.Objects.Release(p.uid)
	}
	if !d.Done {
		return nil
	}
	p.settled = true
	a.forget(p)
	return nil
}

// vacate gives back what a pod took of the node, of which nothing runs any more, and
// has those ask again who wait for it.
func (a *Agent) vacate(p *pod) {
	p.mu.Lock()
	took := p.subject != nil
	p.subject = nil
	p.mu.Unlock()
	if !took {
		return
	}
	for _, other := range a.roster.list() {
		if other.waits() {
			a.Wake(other.uid)
		}
	}
}

// removeLogs removes the output of a pod's containers. Of one that is only known by
// its files the name is not known.
func (a *Agent) removeLogs(object *corev1.Pod) error {
	if object.Name != "" {
		return os.RemoveAll(a.logDirectory(object))
	}
	entries, err := os.ReadDir(a.Settings.PodLogs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), "_"+string(object.UID)) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(a.Settings.PodLogs, entry.Name())))
		}
	}
	return err
}

// forget lets go of a pod that has been settled, once nobody asks for it.
func (a *Agent) forget(p *pod) {
	if !p.isGone() {
		return // the API's object is still to be deleted
	}
	a.roster.drop(p)
	a.prepulls.loop.Add(p.uid) // and what was fetched for its successor
	if p.source == fromFile {
		a.mirrors.Add(p.name())
		a.staticChanged() // another of its name may have waited
	}
}

// isOver tells whether a pod has come to its end and nothing of it runs.
func isOver(in podstep.Input, d podstep.Decision) bool {
	if !d.Status.Phase.Ended() || len(in.Ongoing) > 0 || len(d.Operations) > 0 {
		return false
	}
	return !slices.ContainsFunc(in.Sandboxes, func(s podstep.Sandbox) bool { return s.Ready }) &&
		!slices.ContainsFunc(in.Containers, func(r podstep.Record) bool {
			return r.State == podstep.Running || r.State == podstep.Unknown
		})
}
