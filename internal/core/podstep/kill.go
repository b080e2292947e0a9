package podstep

import "time"

// fault says what is wrong with a running container, and the grace it gets;
// Wanted if nothing is.
func (p *machine) fault(u *unit) (Why, time.Duration) {
	grace := p.in.Pod.Grace
	of := func(probe *Probe) time.Duration {
		if probe.Grace != nil {
			return *probe.Grace
		}
		return grace
	}
	a := p.memory.of(u.spec.Name, u.last.Attempt)
	switch {
	case !a.killBy.IsZero():
		return a.why, a.killBy.Sub(p.in.Now)
	case u.last.State == Unknown:
		return StateUnknown, grace
	case !u.current:
		return SandboxDied, grace
	case u.role != ephemeralRole && u.last.Hash != u.spec.Hash && u.last.Hash != "" && u.spec.Hash != "":
		return SpecChanged, grace
	case a.postStart == hookFailed:
		return PostStartFailed, grace
	case u.spec.StartupProbe != nil && u.probes.Startup == Failed:
		return StartupFailed, of(u.spec.StartupProbe)
	case u.spec.LivenessProbe != nil && u.probes.Liveness == Failed:
		return LivenessFailed, of(u.spec.LivenessProbe)
	}
	return Wanted, 0
}

// minGrace is what a container gets even if the grace is spent, so that it can
// end by itself.
const minGrace = 2 * time.Second

// kill ends a container: its preStop hook first, then the container, both
// within one grace.
func (p *machine) kill(u *unit, why Why, grace time.Duration) {
	if op, ready := p.condemn(u, why, grace); ready {
		p.killNow(op)
	}
}

// condemn returns the operation that ends a container, and whether its preStop
// hook is over. The grace counts from when the decision was first taken, and can
// only get shorter.
func (p *machine) condemn(u *unit, why Why, grace time.Duration) (Operation, bool) {
	a := p.memory.of(u.spec.Name, u.last.Attempt)
	if by := p.in.Now.Add(grace); a.killBy.IsZero() || by.Before(a.killBy) {
		if a.killBy.IsZero() {
			a.why = why
		}
		a.killBy = by
	}
	op := Operation{Kind: KillContainer, Container: u.spec.Name, Attempt: u.last.Attempt, ID: u.last.ID, By: a.killBy, Why: why}
	return op, p.preStop(u, op)
}

// preStop sees to the preStop hook, and reports whether it is over.
func (p *machine) preStop(u *unit, op Operation) bool {
	op.Kind = RunPostStart
	p.cancel(op)
	op.Kind = RunPreStop
	switch {
	case !u.spec.PreStop || p.memory.of(op.Container, op.Attempt).preStopped:
		return true
	case !p.in.Now.Before(op.By):
		p.cancel(op)
		return true
	}
	p.wakeAt(op.By)
	p.do(op)
	return false
}

// killNow kills a container, unless that is ongoing with as little patience.
func (p *machine) killNow(op Operation) {
	if soonest := p.in.Now.Add(minGrace); op.By.Before(soonest) {
		op.By = soonest
	}
	ongoing := false
	for _, o := range p.in.Ongoing {
		if key(o) == key(op) {
			ongoing = true
			if !op.By.Before(o.By) {
				return
			}
		}
	}
	if ongoing {
		p.out.Operations = append(p.out.Operations, op)
		return
	}
	p.do(op)
}

// killStrays kills what runs and is no container's newest attempt, such as what
// the spec no longer names.
func (p *machine) killStrays(by time.Time, why Why) {
	for _, r := range p.byID() {
		if u := p.named(r.Name); r.runs() && (u == nil || u.last != r) {
			p.killNow(Operation{Kind: KillContainer, Container: r.Name, Attempt: r.Attempt, ID: r.ID, By: by, Why: why})
		}
	}
}
