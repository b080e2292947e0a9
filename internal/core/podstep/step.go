package podstep

import (
	"slices"
	"time"
)

// Step decides the next move of one pod. Equal inputs give equal bytes.
func Step(in Input) Decision {
	p := look(&in)
	if p.end = p.ending(); p.end != nil {
		p.finish()
	} else {
		p.run()
	}
	p.status()
	p.memory.last = p.out.Status
	p.memory.last.Conditions = nil
	p.out.Memory = p.memory
	return p.out
}

// machine is one step in the making.
type machine struct {
	in     *Input
	memory Memory
	out    Decision
	// previous is the status of the last step, or else what the API has.
	previous Status
	// sandbox is the pod's, nil if it has none.
	sandbox *Sandbox
	// end is why the pod ends, nil if it is to run. It is over once nothing of
	// it runs or will run.
	end  *ending
	over bool
	// units are the containers of the spec: init, then app, then ephemeral ones.
	units []*unit
}

// look makes the view that a step works on, and takes in the outcomes.
func look(in *Input) *machine {
	p := &machine{in: in, memory: in.Memory.clone()}
	p.previous = in.Memory.last
	if p.previous.Phase == "" {
		p.previous = in.Reported
	}
	if end := &in.Reported; end.Phase.Ended() && !p.previous.Phase.Ended() {
		// Others have decided that the pod has ended.
		p.previous.Phase, p.previous.Reason, p.previous.Message = end.Phase, end.Reason, end.Message
	}
	p.begin()
	if all := p.sandboxes(); len(all) > 0 {
		p.sandbox = all[len(all)-1]
	}
	for i := range in.Pod.Init {
		role := initRole
		if in.Pod.Init[i].RestartPolicy == Always {
			role = sidecarRole
		}
		p.units = append(p.units, p.unit(&in.Pod.Init[i], role))
	}
	for i := range in.Pod.Containers {
		p.units = append(p.units, p.unit(&in.Pod.Containers[i], appRole))
	}
	for i := range in.Pod.Ephemeral {
		p.units = append(p.units, p.unit(&in.Pod.Ephemeral[i], ephemeralRole))
	}
	for _, out := range in.Outcomes {
		u := p.named(out.Operation.Container)
		p.memory.learn(out, u != nil && u.spec.PostStart)
	}
	p.prune()
	return p
}

// begin notes when the pod came, and why it fails if it does.
func (p *machine) begin() {
	m := &p.memory
	if m.start.IsZero() {
		m.start = p.in.Now
		if !p.previous.Start.IsZero() {
			m.start = p.previous.Start
		}
	}
	if m.failure == nil && p.in.Failure != nil {
		f := *p.in.Failure
		m.failure = &f
	}
	if d := p.in.Pod.ActiveDeadline; d > 0 && m.failure == nil {
		if p.in.Now.Before(m.start.Add(d)) {
			p.wakeAt(m.start.Add(d))
		} else {
			m.failure = &Failure{Reason: "DeadlineExceeded", Message: "Pod was active on the node longer than the specified deadline"}
		}
	}
}

// prune drops what need not be remembered any more: tries that helped, and
// attempts that are history.
func (p *machine) prune() {
	m := &p.memory
	m.tries = slices.DeleteFunc(m.tries, func(t try) bool { return p.helped(&t) })
	m.attempt = slices.DeleteFunc(m.attempt, func(a attemptMemory) bool {
		u := p.named(a.container)
		return u == nil || a.attempt < u.attempt()
	})
	m.stopped = slices.DeleteFunc(m.stopped, func(id string) bool {
		return !slices.ContainsFunc(p.in.Sandboxes, func(s Sandbox) bool { return s.ID == id })
	})
}

// helped tells whether what an operation was for is there.
func (p *machine) helped(t *try) bool {
	switch t.key.Kind {
	case PullImage:
		return false
	case CreateSandbox:
		return p.sandbox != nil && p.sandbox.Attempt >= t.attempt
	case StartContainer:
		u := p.named(t.key.Container)
		return u == nil || u.last != nil && u.last.Attempt >= t.attempt && u.last.State != Created
	case StopSandbox:
		return slices.Contains(p.memory.stopped, t.key.ID)
	case RemoveSandbox:
		return !slices.ContainsFunc(p.in.Sandboxes, func(s Sandbox) bool { return s.ID == t.key.ID })
	}
	i := slices.IndexFunc(p.in.Containers, func(r Record) bool { return r.ID == t.key.ID })
	return i < 0 || t.key.Kind == KillContainer && !p.in.Containers[i].runs()
}

// do proposes an operation, unless it is ongoing or was tried too recently.
func (p *machine) do(op Operation) {
	if p.ongoing(op) != nil {
		return
	}
	if t := p.memory.try(op); t != nil && p.in.Now.Before(t.until()) {
		p.wakeAt(t.until())
		return
	}
	p.out.Operations = append(p.out.Operations, op)
}

// ongoing is the ongoing operation that is the same but for details.
func (p *machine) ongoing(op Operation) *Operation {
	k := key(op)
	for i := range p.in.Ongoing {
		if key(p.in.Ongoing[i]) == k {
			return &p.in.Ongoing[i]
		}
	}
	return nil
}

// cancel asks for the end of an ongoing operation.
func (p *machine) cancel(op Operation) {
	if o := p.ongoing(op); o != nil {
		p.out.Cancel = append(p.out.Cancel, *o)
	}
}

// wakeAt wants a step at a time.
func (p *machine) wakeAt(t time.Time) {
	if t.After(p.in.Now) && (p.out.WakeAt.IsZero() || t.Before(p.out.WakeAt)) {
		p.out.WakeAt = t
	}
}

// named is the unit of a name, nil if there is none.
func (p *machine) named(name string) *unit {
	for _, u := range p.units {
		if u.spec.Name == name {
			return u
		}
	}
	return nil
}
