package podstep

import (
	"fmt"
	"slices"
	"time"
)

// initialise brings the init containers and sidecars up, one after the other,
// and reports whether the turn is with the app containers.
func (p *machine) initialise() bool {
	var inits []*unit
	reached := -1
	for _, u := range p.units {
		switch {
		case u.role == initRole || u.role == sidecarRole:
			if u.current {
				reached = len(inits)
			}
			inits = append(inits, u)
		case u.role == appRole && u.current:
			reached = len(inits)
		}
	}
	// What comes before the last that was started had its turn: sidecars are
	// kept going, the others are done, whether or not their records remain.
	for i := 0; i < reached; i++ {
		if inits[i].role == sidecarRole && !inits[i].runs() {
			p.start(inits[i])
		}
	}
	next := max(reached, 0)
	if reached >= 0 && reached < len(inits) && p.passed(inits[reached]) {
		next++
	}
	if next >= len(inits) {
		return true
	}
	if !inits[next].runs() {
		p.start(inits[next])
	}
	return false
}

// passed tells whether an init container lets the next one start.
func (p *machine) passed(u *unit) bool {
	if u.role == sidecarRole {
		return p.started(u)
	}
	return u.exited() && u.last.ExitCode == 0
}

// startApps starts the app containers that are to run and do not. One that is
// still on its way, up to the end of its postStart hook, holds up those after
// it, so that a pod can say what must be there first; but their images are
// fetched meanwhile.
func (p *machine) startApps() {
	busy := false
	for _, u := range p.units {
		switch {
		case u.role != appRole:
		case u.runs():
			busy = busy || p.hook(u) == hookDue || p.hook(u) == hookAwaited
		case u.exited() && !p.restarts(u):
		case busy:
			if !p.crashLoop(u) {
				p.fetch(u)
			}
		default:
			busy = p.start(u)
		}
	}
}

// start takes a container one operation nearer to running. It reports whether
// that is under way, rather than held up by an error or a back-off.
func (p *machine) start(u *unit) bool {
	op := Operation{Kind: StartContainer, Container: u.spec.Name, Attempt: u.next(), Image: u.spec.Image, ID: p.sandbox.ID}
	if p.ongoing(op) != nil {
		return true
	}
	if !p.in.Pod.VolumesReady || p.crashLoop(u) {
		return false
	}
	switch p.fetch(u) {
	case underWay:
		return true
	case heldUp:
		return false
	}
	if t := p.memory.try(op); t != nil && t.reason != "" {
		u.waiting = &Waiting{t.reason, t.message}
		p.do(op)
		return false
	}
	p.do(op)
	return true
}

// progress is how far an image has come.
type progress int

const (
	present progress = iota
	underWay
	heldUp
)

// errorShown is how long a failed pull is reported as such before it is
// reported as waiting for the next.
const errorShown = 5 * time.Second

// lookAgain is when to look again for an image that others must bring: nobody
// tells when they have.
const lookAgain = 10 * time.Second

// fetch sees to the image of a container's next attempt.
func (p *machine) fetch(u *unit) progress {
	here := slices.Contains(p.in.Images, u.spec.Image)
	op := Operation{Kind: PullImage, Container: u.spec.Name, Attempt: u.next(), Image: u.spec.Image}
	switch {
	case here && u.spec.PullPolicy != PullAlways, p.memory.of(op.Container, op.Attempt).pulled:
		return present
	case u.spec.PullPolicy == PullNever:
		u.waiting = &Waiting{"ErrImageNeverPull", fmt.Sprintf("Container image %q is not present with pull policy of Never", u.spec.Image)}
		p.wakeAt(p.in.Now.Add(lookAgain))
		return heldUp
	case p.ongoing(op) != nil:
		return underWay
	}
	t := p.memory.try(op)
	p.do(op)
	if t == nil {
		return underWay
	}
	u.waiting = &Waiting{t.reason, t.message}
	if shown := t.at.Add(errorShown); p.in.Now.Before(shown) {
		p.wakeAt(shown)
	} else {
		u.waiting = &Waiting{"ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q: %s: %s", u.spec.Image, t.reason, t.message)}
	}
	return heldUp
}
