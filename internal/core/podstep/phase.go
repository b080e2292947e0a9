package podstep

// phase sets the phase. A final one never changes, and none is final while
// anything of the pod runs.
func (p *machine) phase(s *Status) {
	was := p.previous
	switch {
	case was.Phase.Ended():
		s.Phase, s.Reason, s.Message = was.Phase, was.Reason, was.Message
	case p.over && p.memory.failure != nil:
		s.Phase, s.Reason, s.Message = PhaseFailed, p.memory.failure.Reason, p.memory.failure.Message
	case p.over:
		s.Phase = s.finalPhase()
	case p.isPending(s):
		s.Phase = PhasePending
	default:
		s.Phase = PhaseRunning
	}
}

// finalPhase is the phase of a pod whose containers have all stopped.
func (s *Status) finalPhase() Phase {
	for _, c := range s.Containers {
		if c.Terminated == nil || c.Terminated.ExitCode != 0 {
			return PhaseFailed
		}
	}
	return PhaseSucceeded
}

// isPending tells whether some container has yet to run for the first time. The
// first start of a sidecar counts only until the pod was initialised.
func (p *machine) isPending(s *Status) bool {
	initialised := s.hasInitialized()
	for i, c := range s.Init {
		fresh := c.Waiting != nil && c.Last == nil
		if p.units[i].role == initRole {
			if c.Running != nil || fresh {
				return true
			}
		} else if !initialised && (fresh || c.Running != nil && !c.Started) {
			return true
		}
	}
	for _, c := range s.Containers {
		if c.Waiting != nil && c.Last == nil {
			return true
		}
	}
	return false
}
