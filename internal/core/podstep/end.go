package podstep

import (
	"slices"
	"time"
)

// ending says why a pod ends, and the grace its containers get.
type ending struct {
	why   Why
	grace time.Duration
}

// ending is nil for a pod that is to run. Of several causes the strongest names
// the reason, and the least grace counts.
func (p *machine) ending() *ending {
	var e *ending
	add := func(why Why, grace time.Duration) {
		if e == nil {
			e = &ending{why, grace}
		}
		e.grace = min(e.grace, grace)
	}
	grace := p.in.Pod.Grace
	if d := p.in.Deletion; d != nil {
		add(PodDeleted, d.Grace)
	}
	if f := p.memory.failure; f != nil {
		if f.Grace != nil {
			add(PodFailed, *f.Grace)
		} else {
			add(PodFailed, grace)
		}
	}
	if p.previous.Phase.Ended() || p.completed() {
		add(PodCompleted, grace)
	}
	return e
}

// completed tells whether no container that matters runs or will run again.
func (p *machine) completed() bool {
	for _, u := range p.units {
		if u.role == initRole && u.exited() && u.last.ExitCode != 0 && !p.restarts(u) {
			return true
		}
	}
	for _, u := range p.units {
		if u.role == appRole && (!u.exited() || p.restarts(u)) {
			return false
		}
	}
	return true
}

// finish brings a pod to its end: its containers are stopped, then its sandbox;
// and if it is being deleted, all of it is removed. Dead containers of a pod
// that is not deleted stay, for their logs.
func (p *machine) finish() {
	if by := p.in.Now.Add(p.end.grace); p.memory.endBy.IsZero() || by.Before(p.memory.endBy) {
		p.memory.endBy = by
	}
	for _, o := range p.in.Ongoing {
		if o.Kind == PullImage {
			p.out.Cancel = append(p.out.Cancel, o)
		}
	}
	if p.over = p.stopContainers(); !p.over {
		return
	}
	stopped := true
	for _, s := range p.sandboxes() {
		stopped = p.stopSandbox(s, p.end.why) && stopped
	}
	if stopped && p.in.Deletion != nil {
		p.removeAll()
	}
}

// stopContainers stops all containers, and reports whether that is done. App
// containers go together, sidecars after them, the last first. The preStop
// hooks of all run at once; when the grace is spent, nobody waits for a turn.
func (p *machine) stopContainers() bool {
	left := p.memory.endBy.Sub(p.in.Now)
	if left > 0 {
		p.wakeAt(p.memory.endBy)
	}
	p.killStrays(p.memory.endBy, p.end.why)
	turn := true
	for _, u := range p.units {
		if u.role != sidecarRole {
			turn = p.stop(u, true) && turn
		}
	}
	for _, u := range slices.Backward(p.units) {
		if u.role == sidecarRole {
			turn = p.stop(u, turn || left <= 0) && turn
		}
	}
	strays := slices.ContainsFunc(p.in.Containers, func(r Record) bool { return r.runs() })
	starting := slices.ContainsFunc(p.in.Ongoing, func(o Operation) bool {
		return o.Kind == StartContainer || o.Kind == CreateSandbox
	})
	return turn && !strays && !starting
}

// stop stops a container if it is its turn, and reports whether it is stopped.
func (p *machine) stop(u *unit, turn bool) bool {
	if u.runs() {
		op, ready := p.condemn(u, p.end.why, p.memory.endBy.Sub(p.in.Now))
		if ready && turn {
			p.killNow(op)
		}
		return false
	}
	return p.ongoing(Operation{Kind: StartContainer, Container: u.spec.Name}) == nil
}

// removeAll removes containers, then sandboxes.
func (p *machine) removeAll() {
	for _, r := range p.byID() {
		p.do(Operation{Kind: RemoveContainer, Container: r.Name, Attempt: r.Attempt, ID: r.ID, Why: p.end.why})
	}
	if len(p.in.Containers) > 0 {
		return
	}
	for _, s := range p.sandboxes() {
		p.do(Operation{Kind: RemoveSandbox, Attempt: s.Attempt, ID: s.ID, Why: p.end.why})
	}
	p.out.Done = len(p.in.Sandboxes) == 0
}
