package rollout

// roll judges a node with active pods where a new pod must not start before the
// old one has gone.
func (s *site) roll(in *Input) {
	if len(s.active) > 1 {
		for _, p := range s.active[1:] {
			s.drop(p, RemoveDuplicate)
		}
		s.spends = !s.excused()
		return
	}
	p := s.active[0]
	switch {
	case in.Set.current(p):
		s.judgeCurrent(in, p)
		s.spends = s.spends || s.reason.Kind == Starting
	case in.Strategy.OnDelete:
		s.say(HoldOnDelete, p)
	case s.mustRecover(in, p):
		s.say(HoldBadNode, p)
		s.spends = s.blamed()
	case !s.isAvailable(in, p):
		s.drop(p, ReplaceUnavailable)
		s.spends = !s.excused()
	default:
		s.makeWay(in, p)
	}
}

// makeWay judges a node whose available pod is to make way for a new one. Where
// the agent can fetch the new images before, it does: then an update takes
// seconds and not a download, and no pod goes for an image that nobody has.
func (s *site) makeWay(in *Input, p *Pod) {
	s.say(HoldBudget, p)
	s.want = wantReplace
	if !in.PrePull || !s.node.PrePulls || s.verdict != Run {
		return
	}
	limit := p.Pull.Since.Add(pullPatience)
	switch {
	case p.Pull.Hash != in.Set.Hash:
		s.want = wantFetch
		s.say(HoldTurn, p)
	case p.Pull.State == Pulled:
	case p.Pull.State == Pulling && limit.After(in.Now):
		s.want = wantNothing
		s.say(HoldPulling, p)
		s.wake.at(limit)
	default:
		s.want = wantNothing
		s.say(HoldNotPulled, p)
		s.reason.Waiting = p.Pull.Reason
	}
}

// surge judges a node with active pods where the new pod starts beside the old.
func (s *site) surge(in *Input) {
	fresh, old := s.split(in)
	s.serving = old
	if old == nil || fresh != nil && s.isAvailable(in, fresh) {
		s.serving = fresh
	}
	switch {
	case len(s.active) > 1 && (old == nil || fresh == nil) || len(s.active) > 2:
		s.spends = !s.excused() // split has removed the surplus; the rest can wait
	case old == nil:
		s.judgeCurrent(in, fresh)
	case fresh == nil:
		s.surgeOver(in, old)
	case s.serving == fresh:
		s.drop(old, SurgeDone)
	case s.node.Away:
		s.say(HoldBadNode, old)
		s.spends = s.blamed()
	case !old.ready():
		s.drop(old, RemoveUnready)
		s.spends = !s.excused()
	default:
		s.sayStarting(in, SurgeStarting, fresh)
		s.spends = !s.excused()
	}
}

// split returns the oldest current and the oldest older pod of a node, and
// removes all others.
func (s *site) split(in *Input) (fresh, old *Pod) {
	for _, p := range s.active {
		switch isCurrent := in.Set.current(p); {
		case isCurrent && fresh == nil:
			fresh = p
		case !isCurrent && old == nil:
			old = p
		default:
			s.drop(p, RemoveDuplicate)
		}
	}
	return fresh, old
}

// surgeOver judges a node that has only an old pod.
func (s *site) surgeOver(in *Input, old *Pod) {
	isAvailable := s.isAvailable(in, old)
	switch {
	case s.mustRecover(in, old):
		s.say(HoldBadNode, old)
		s.spends = s.blamed()
	case s.verdict == Run && isAvailable:
		s.say(HoldBudget, old)
		s.want = wantSurge
	case s.verdict == Run:
		s.create = true
		s.say(CreateBeside, old)
	case isAvailable:
		s.say(HoldDeparture, old)
		s.want = wantDeparture
	default:
		s.drop(old, RemoveOutdated)
	}
}

// mustRecover reports whether the node has to be well before its outdated pod is
// replaced. A bad node that still starts pods, and may have a new one, gets it
// in place of one that serves nobody: the new revision may be the cure.
func (s *site) mustRecover(in *Input, old *Pod) bool {
	return s.bad() && (s.node.Away || s.verdict != Run || s.isAvailable(in, old))
}

// judgeCurrent judges the one pod of a node that is up to date.
func (s *site) judgeCurrent(in *Input, p *Pod) {
	switch {
	case s.blamed():
		s.say(FailedWithUpdate, p)
		s.spends = true
	case s.isAvailable(in, p):
		s.say(UpToDate, p)
	case s.bad():
		s.say(BadNode, p)
	default:
		s.sayStarting(in, Starting, p)
	}
}

// sayStarting says that a current pod is not yet available, and when it will be
// or when it will have been given long enough.
func (s *site) sayStarting(in *Input, k Kind, p *Pod) {
	s.say(k, p)
	if p.ready() {
		s.reason.Until = p.ReadySince.Add(in.MinReady)
		return
	}
	limit := p.Created.Add(in.MinReady + stallAfter)
	if p.Scheduler != "" {
		limit = p.Created.Add(schedulerPatience)
		s.reason.Scheduler = p.Scheduler
	}
	s.stalled = p.Waiting != "" || !limit.After(in.Now)
	s.wake.at(limit)
}
