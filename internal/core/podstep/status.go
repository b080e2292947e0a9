package podstep

// status derives the status from the view.
func (p *machine) status() {
	s := &p.out.Status
	s.Start = p.memory.start
	for _, u := range p.units {
		switch u.role {
		case appRole:
			s.Containers = append(s.Containers, p.containerStatus(u))
		case ephemeralRole:
			s.Ephemeral = append(s.Ephemeral, p.containerStatus(u))
		default:
			s.Init = append(s.Init, p.containerStatus(u))
		}
	}
	p.locate(s)
	p.phase(s)
	s.Conditions = p.conditions(s)
}

// containerStatus is the status of one container.
func (p *machine) containerStatus(u *unit) ContainerStatus {
	u = u.begun()
	c := ContainerStatus{Name: u.spec.Name, RestartCount: max(u.attempt(), 0), Last: u.lastTermination()}
	switch {
	case u.last == nil:
		p.vanished(u, &c)
	case u.last.State == Running:
		c.ID, c.Running = u.last.ID, &RunningSince{u.last.Started}
		c.Started = u.role == initRole || u.role == ephemeralRole || p.started(u)
	case u.last.State == Exited:
		c.ID, c.Terminated = u.last.ID, u.last.termination()
	case u.last.State == Unknown:
		c.ID, c.Terminated = u.last.ID, unknownTermination(u.last.ID)
	}
	if u.last != nil && u.role != ephemeralRole {
		c.Ready = p.ready(u)
	}
	switch {
	case u.waiting != nil && c.Running == nil:
		if c.Terminated != nil {
			c.Last = c.Terminated
		}
		c.Terminated, c.Waiting, c.Ready = nil, u.waiting, false
	case c.Running == nil && c.Terminated == nil:
		c.Waiting = p.usualWait()
	}
	return c
}

// begun is the container without a newest attempt that was made but has not begun:
// a restart counts from its start.
func (u *unit) begun() *unit {
	if u.last == nil || u.last.State != Created || len(u.records) == 1 {
		return u
	}
	was := *u
	was.records, was.last = u.records[1:], u.records[1]
	return &was
}

// usualWait is why containers wait when nothing is wrong.
func (p *machine) usualWait() *Waiting {
	if len(p.in.Pod.Init) > 0 {
		return &Waiting{Reason: "PodInitializing"}
	}
	return &Waiting{Reason: "ContainerCreating"}
}

// vanished fills in the status of a container without a record from what was
// known before, if it was.
func (p *machine) vanished(u *unit, c *ContainerStatus) {
	if u.previous == nil {
		return
	}
	ended := copied(u.previous.Terminated)
	if u.previous.Running != nil {
		ended = unknownTermination(u.previous.ID)
	}
	if ended == nil {
		return
	}
	c.Last = nil
	if p.end != nil {
		c.ID, c.Terminated, c.Last = u.previous.ID, ended, copied(u.previous.Last)
		c.Ready = u.role == initRole && ended.ExitCode == 0
		return
	}
	c.Last = ended
}

// locate says of a pod that is over that app containers without a trace are
// gone. Where the pod was never initialised, they were never there.
func (p *machine) locate(s *Status) {
	if !p.over || !s.hasInitialized() {
		return
	}
	for i := range s.Containers {
		if c := &s.Containers[i]; c.Terminated == nil {
			c.Waiting, c.Terminated = nil, unknownTermination(c.ID)
		}
	}
}

// hasInitialized tells whether any app container has been started.
func (s *Status) hasInitialized() bool {
	for _, c := range s.Containers {
		if c.Running != nil || c.Terminated != nil || c.Last != nil {
			return true
		}
	}
	return false
}

// unknownTermination stands for an end that nobody saw.
func unknownTermination(id string) *Terminated {
	return &Terminated{ID: id, ExitCode: 137, Reason: "ContainerStatusUnknown",
		Message: "The container could not be located when the pod was terminated"}
}

func (r *Record) termination() *Terminated {
	t := &Terminated{r.ID, r.ExitCode, r.Reason, r.Message, r.Started, r.Finished}
	switch {
	case t.Reason != "":
	case t.ExitCode == 0:
		t.Reason = "Completed"
	default:
		t.Reason = "Error"
	}
	return t
}

// lastTermination is how the attempt before the newest ended.
func (u *unit) lastTermination() *Terminated {
	for i, r := range u.records {
		if i > 0 && r.State == Exited {
			return r.termination()
		}
	}
	switch c := u.previous; {
	case c == nil:
		return nil
	case c.RestartCount < u.attempt():
		return copied(c.Terminated)
	default:
		return copied(c.Last)
	}
}

func copied(t *Terminated) *Terminated {
	if t == nil {
		return nil
	}
	c := *t
	return &c
}
