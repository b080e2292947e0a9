package podstep

import "slices"

// run keeps a pod going that is to run.
func (p *machine) run() {
	if !p.keepSandbox() {
		return
	}
	for _, u := range p.units {
		if u.runs() {
			p.keep(u)
		}
	}
	p.killStrays(p.in.Now.Add(p.in.Pod.Grace), Superfluous)
	for _, u := range p.units {
		if u.role == ephemeralRole && u.last == nil && u.next() == 0 {
			p.start(u)
		}
	}
	if p.initialise() {
		p.startApps()
	}
	p.removeOld()
}

// sandboxReady tells whether containers can be in the pod's sandbox.
func (p *machine) sandboxReady() bool {
	return p.sandbox != nil && p.sandbox.Ready && (p.in.Pod.HostNetwork || p.sandbox.IP != "")
}

// keepSandbox sees to it that there is a sandbox, and reports whether there is.
// One that died takes all containers with it.
func (p *machine) keepSandbox() bool {
	for _, s := range p.sandboxes() {
		if s != p.sandbox && s.Ready {
			p.stopSandbox(s, Superfluous)
		}
	}
	if p.sandboxReady() {
		return true
	}
	if p.ongoing(Operation{Kind: CreateSandbox}) != nil {
		return false
	}
	if p.sandbox == nil {
		p.createSandbox(0)
		return false
	}
	if p.anyRuns() {
		for _, u := range p.units {
			if u.runs() {
				p.kill(u, SandboxDied, p.in.Pod.Grace)
			}
		}
		return false
	}
	if !p.stopSandbox(p.sandbox, SandboxDied) {
		return false
	}
	// Read from the sandbox itself, so that one that keeps dying is not made
	// anew all the time, whatever is remembered.
	delay := double(firstDelay, maxCrashDelay, p.sandbox.Attempt)
	if p.pending(p.sandbox.Created, delay) {
		p.wakeAt(p.sandbox.Created.Add(delay))
		return false
	}
	p.createSandbox(p.sandbox.Attempt + 1)
	return false
}

func (p *machine) createSandbox(attempt int) {
	if p.in.Pod.VolumesReady {
		p.do(Operation{Kind: CreateSandbox, Attempt: attempt})
	}
}

// stopSandbox reports whether a sandbox has been stopped, and sees to it.
func (p *machine) stopSandbox(s *Sandbox, why Why) bool {
	if slices.Contains(p.memory.stopped, s.ID) {
		return true
	}
	p.do(Operation{Kind: StopSandbox, Attempt: s.Attempt, ID: s.ID, Why: why})
	return false
}

func (p *machine) anyRuns() bool {
	return slices.ContainsFunc(p.units, (*unit).runs)
}

// keep looks after a container that runs: it is killed if something is wrong
// with it, and else left alone once its postStart hook has run.
func (p *machine) keep(u *unit) {
	why, grace := p.fault(u)
	switch {
	case why != Wanted:
		p.kill(u, why, grace)
	case p.hook(u) == hookDue:
		p.do(Operation{Kind: RunPostStart, Container: u.spec.Name, Attempt: u.last.Attempt, ID: u.last.ID})
	}
}

// removeOld removes what no longer serves: of each container the newest record
// stays, and the newest that ran before it, for its logs, its exit code and the
// back-off. A sandbox goes with its last container.
func (p *machine) removeOld() {
	keep := map[string]bool{}
	for _, u := range p.units {
		for i, r := range u.records {
			if i > 0 && r.State == Created {
				continue
			}
			keep[r.ID] = true
			if i > 0 {
				break
			}
		}
	}
	used := map[string]bool{}
	for _, r := range p.byID() {
		used[r.Sandbox] = true
		if !keep[r.ID] && !r.runs() {
			p.do(Operation{Kind: RemoveContainer, Container: r.Name, Attempt: r.Attempt, ID: r.ID, Why: Superfluous})
		}
	}
	for _, s := range p.sandboxes() {
		if s != p.sandbox && !used[s.ID] && p.stopSandbox(s, Superfluous) {
			p.do(Operation{Kind: RemoveSandbox, Attempt: s.Attempt, ID: s.ID, Why: Superfluous})
		}
	}
}
