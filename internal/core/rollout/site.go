package rollout

import (
	"slices"
	"time"
)

// want is what a node asks of the budget.
type want int

const (
	wantNothing want = iota
	// wantReplace: take down an available old pod.
	wantReplace
	// wantSurge: start a new pod beside an available old one.
	wantSurge
	// wantFetch: have the new images fetched before an available old pod goes.
	wantFetch
	// wantDeparture: take down an available old pod that has no successor.
	wantDeparture
)

// site is one node during a plan.
type site struct {
	node    *Node
	memory  *nodeMemory
	trouble trouble
	// verdict is the node's, with Lapse resolved to Keep or Leave.
	verdict Verdict

	// active pods run or will, dead ones have ended; nobody deletes either.
	// ending pods have still to end after their deletion. Pods that have ended
	// and are being deleted are in none: they are as good as gone.
	active, dead, ending []*Pod
	// serving is the pod by which the node's availability is judged.
	serving *Pod

	reason *Reason
	// create says that the node is due a pod, whatever the budget says.
	create bool
	// remove are the pods that must go, whatever the budget says.
	remove []removal
	// stalled says that the pod gave a reason for not starting or ending, or had
	// long enough for it.
	stalled bool
	// wake is when time alone may change what is due here.
	wake alarm
	// spends says that the node uses one unit of the budget.
	spends bool
	want   want
}

// removal is one pod that must go.
type removal struct {
	pod *Pod
	why Kind
}

func (s *site) classify(in *Input, arena []*Pod) []*Pod {
	s.verdict = s.resolveVerdict(in)
	arena = s.census(in, arena)
	s.judge(in)
	return arena
}

// judge says what the node is due and what it wants.
func (s *site) judge(in *Input) {
	switch {
	case s.verdict == Leave:
		s.clear(in)
		return
	case len(s.dead) > 0:
		s.bury(in)
		if len(s.active) == 0 {
			s.spends = !s.excused()
			return
		}
	}
	switch {
	case len(s.active) == 0:
		s.fill(in)
	case in.Strategy.surges():
		s.surge(in)
	default:
		s.roll(in)
	}
	if s.node.Verdict == Lapse && len(s.node.Pods) > 0 {
		s.wake.at(s.lapses(in))
		if s.reason.Kind == UpToDate {
			s.reason.Kind = Lapsing
			s.reason.Until = s.lapses(in)
		}
	}
}

func (s *site) bad() bool { return !s.trouble.badSince.IsZero() }

// blamed reports whether the node went bad after it got the current revision,
// so that the revision may be the cause.
func (s *site) blamed() bool {
	return s.bad() && !s.memory.got.IsZero() && !s.trouble.badSince.Before(s.memory.got)
}

// excused reports whether the node is bad for a reason that the current
// revision cannot have caused.
func (s *site) excused() bool { return s.bad() && !s.blamed() }

// resolveVerdict turns Lapse into Keep within the grace and Leave after it.
func (s *site) resolveVerdict(in *Input) Verdict {
	if s.node.Verdict != Lapse {
		return s.node.Verdict
	}
	until := s.lapses(in)
	if until.IsZero() || until.After(in.Now) {
		return Keep
	}
	return Leave
}

// lapses is when the placement grace ends; zero if it never does, or if there
// is no pod that it could be granted to.
func (s *site) lapses(in *Input) time.Time {
	if in.PlacementGrace < 0 || s.trouble.lapsedSince.IsZero() {
		return time.Time{}
	}
	return s.trouble.lapsedSince.Add(in.PlacementGrace)
}

// census sorts the node's pods into active, dead and ending, and wakes when one
// becomes available. The lists lie in the arena, which has room for all pods.
func (s *site) census(in *Input, arena []*Pod) []*Pod {
	pick := func(list *[]*Pod, belongs func(*Pod) bool) {
		from := len(arena)
		for i := range s.node.Pods {
			if p := &s.node.Pods[i]; belongs(p) {
				arena = append(arena, p)
			}
		}
		*list = arena[from:len(arena):len(arena)]
	}
	pick(&s.active, func(p *Pod) bool { return p.Phase == Active && !p.deleting() })
	pick(&s.dead, func(p *Pod) bool { return p.Phase != Active && !p.deleting() })
	pick(&s.ending, func(p *Pod) bool { return p.Phase == Active && p.deleting() })
	for _, p := range s.active {
		if p.ready() && !s.isAvailable(in, p) {
			s.wake.at(p.ReadySince.Add(in.MinReady))
		}
	}
	if len(s.active) > 0 {
		s.serving = s.active[0]
	}
	return arena
}

// clear empties a node that may not have a pod.
func (s *site) clear(in *Input) {
	why := RemoveIneligible
	if s.node.Verdict == Lapse {
		why = RemoveLapsed
	}
	for _, p := range s.active {
		s.drop(p, why)
	}
	for _, p := range s.dead {
		s.drop(p, why)
	}
	if len(s.remove) == 0 {
		s.reason.Kind = NotEligible
		if len(s.ending) > 0 {
			s.sayEnding(in, Leaving)
		}
	}
}

// bury removes pods that have ended. A pod of the current revision that failed
// is kept while the back-off lasts, or a node that refuses it would see a new
// one at every turn; an older one has a different successor and goes at once.
func (s *site) bury(in *Input) {
	until := s.trouble.failures.until()
	buried := false
	for _, p := range s.dead {
		switch {
		case p.Phase == Succeeded:
			s.drop(p, RemoveSucceeded)
		case !in.Set.current(p) && !in.Strategy.OnDelete:
			s.drop(p, RemoveFailed)
		case until.After(in.Now):
			s.say(BackOff, p)
			s.reason.Until = until
			s.wake.at(until)
		default:
			s.drop(p, RemoveFailed)
			buried = true
		}
	}
	if buried {
		s.trouble.failures = s.trouble.failures.next(in.Now)
	}
}

// fill brings a pod to a node that has none which runs or will.
func (s *site) fill(in *Input) {
	surges := in.Strategy.surges()
	switch {
	case s.verdict == Run && (surges || len(s.ending) == 0):
		s.create = true
		s.say(CreateMissing, nil)
	case s.verdict == Run:
		s.sayEnding(in, Terminating)
	case len(s.ending) > 0:
		s.sayEnding(in, Leaving)
	default:
		s.say(Closed, nil)
		return
	}
	s.spends = !surges && !s.excused()
}

// say sets the reason of the node.
func (s *site) say(k Kind, p *Pod) {
	s.reason.Kind = k
	if p != nil {
		s.reason.Pod, s.reason.Waiting = p.Name, p.Waiting
	}
}

// sayEnding says that the node waits for a deleted pod to end.
func (s *site) sayEnding(in *Input, k Kind) {
	p := s.ending[0]
	s.say(k, p)
	limit := p.DeleteBy.Add(stallAfter)
	s.stalled = !limit.After(in.Now)
	s.wake.at(limit)
}

// drop marks a pod for removal, whatever the budget says.
func (s *site) drop(p *Pod, why Kind) {
	s.remove = append(s.remove, removal{p, why})
	s.say(why, p)
}

// hasImages reports whether the node is known to have the images of the current
// revision, or to have got as far as a pod of it.
func (s *site) hasImages(in *Input) bool {
	return slices.ContainsFunc(s.active, func(p *Pod) bool {
		return in.Set.current(p) || p.Pull.Hash == in.Set.Hash && p.Pull.State == Pulled
	})
}

// isAvailable reports whether the pod has been ready for long enough.
func (s *site) isAvailable(in *Input, p *Pod) bool {
	return p.ready() && !p.ReadySince.Add(in.MinReady).After(in.Now)
}
