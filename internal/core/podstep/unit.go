package podstep

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// role is the part a container plays in its pod.
type role int

const (
	initRole role = iota
	sidecarRole
	appRole
	ephemeralRole
)

// unit is one container of the spec with all that is known of it.
type unit struct {
	spec *Container
	role role
	// records are the runtime's, newest attempt first.
	records []*Record
	// last is the newest, nil if there is none.
	last *Record
	// current: last belongs to the pod's sandbox, and that is usable.
	current bool
	probes  ProbeResult
	// previous is the status of the step before, nil if there was none.
	previous *ContainerStatus
	// waiting is why the container is not started, nil if nothing is wrong.
	waiting *Waiting
}

// unit gathers what is known of a container.
func (p *machine) unit(spec *Container, r role) *unit {
	u := &unit{spec: spec, role: r}
	for i := range p.in.Containers {
		if p.in.Containers[i].Name == spec.Name {
			u.records = append(u.records, &p.in.Containers[i])
		}
	}
	slices.SortFunc(u.records, func(a, b *Record) int {
		return cmp.Or(b.Attempt-a.Attempt, cmp.Compare(a.ID, b.ID))
	})
	if len(u.records) > 0 {
		u.last = u.records[0]
		u.current = p.sandboxReady() && u.last.Sandbox == p.sandbox.ID
	}
	u.previous = p.previous.container(spec.Name)
	for _, r := range p.in.Probes {
		if r.Container == spec.Name && u.last != nil && r.Attempt == u.last.Attempt {
			u.probes = r
		}
	}
	return u
}

// container is the status of one container, nil if there is none.
func (s *Status) container(name string) *ContainerStatus {
	for _, list := range [][]ContainerStatus{s.Init, s.Containers, s.Ephemeral} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// runs tells whether a container may have a process.
func (r *Record) runs() bool { return r.State == Running || r.State == Unknown }

func (u *unit) runs() bool   { return u.last != nil && u.last.runs() }
func (u *unit) exited() bool { return u.last != nil && u.last.State == Exited }

// attempt is that of the newest record, or else the last that was reported.
func (u *unit) attempt() int {
	if u.last == nil {
		return u.next() - 1
	}
	return u.last.Attempt
}

// next is the attempt that would be started next.
func (u *unit) next() int {
	switch s := u.previous; {
	case u.last != nil:
		return u.last.Attempt + 1
	case s != nil && (s.Running != nil || s.Terminated != nil || s.Last != nil):
		return s.RestartCount + 1
	}
	return 0
}

// started tells whether the container runs and has passed its startup probe.
func (p *machine) started(u *unit) bool {
	if !u.current || u.last.State != Running || p.hook(u) != hookDone {
		return false
	}
	return u.spec.StartupProbe == nil || u.probes.Startup == Success ||
		u.probes.Startup == Pending && u.sameAttempt() && u.previous.Started
}

// ready tells whether the container does what others count on.
func (p *machine) ready(u *unit) bool {
	if u.role == initRole {
		return u.exited() && u.last.ExitCode == 0
	}
	return p.started(u) && (!u.spec.ReadinessProbe || u.probes.Readiness == Success ||
		u.probes.Readiness == Pending && u.sameAttempt() && u.previous.Ready)
}

// sameAttempt tells whether the previous status is of the newest attempt, so
// that what was probed then holds until it is probed again.
func (u *unit) sameAttempt() bool {
	return u.previous != nil && u.previous.Running != nil && u.previous.RestartCount == u.last.Attempt
}

// hook is how far the postStart hook of the newest attempt has come.
func (p *machine) hook(u *unit) hook {
	if u.spec.PostStart && p.ongoing(Operation{Kind: StartContainer, Container: u.spec.Name}) != nil {
		return hookAwaited
	}
	return p.memory.of(u.spec.Name, u.last.Attempt).postStart
}

// restarts tells whether a container that ended is to be started again.
func (p *machine) restarts(u *unit) bool {
	switch u.role {
	case ephemeralRole:
		return false
	case sidecarRole:
		return true
	}
	if p.memory.of(u.spec.Name, u.last.Attempt).why == SpecChanged {
		return true
	}
	failed := u.last.ExitCode != 0
	if u.role == initRole && !failed {
		return false
	}
	for _, rule := range u.spec.RestartRules {
		if slices.Contains(rule.Codes, u.last.ExitCode) != rule.NotIn {
			return true
		}
	}
	switch cmp.Or(u.spec.RestartPolicy, p.in.Pod.RestartPolicy) {
	case Never:
		return false
	case OnFailure:
		return failed
	}
	return true
}

// Crash-loop back-off. A run of stableRun starts it afresh.
const (
	firstCrashDelay = 10 * time.Second
	maxCrashDelay   = 5 * time.Minute
	stableRun       = 10 * time.Minute
)

// crashDelay is how long a container that ended waits for its next attempt. It
// is read from the records: the first restart is immediate, the second waits
// for firstCrashDelay, and each later one twice as long as the last did. An
// outage of the agent must not count as a wait, hence the limit by attempts.
func (u *unit) crashDelay() time.Duration {
	last := u.last
	if last == nil || last.State != Exited || last.Attempt == 0 || last.Hash != u.spec.Hash ||
		last.Finished.Sub(last.began()) >= stableRun {
		return 0
	}
	var waited time.Duration
	for _, r := range u.records[1:] {
		if r.State == Exited {
			waited = last.began().Sub(r.Finished)
			break
		}
	}
	delay := firstCrashDelay
	for delay <= waited && delay < maxCrashDelay {
		delay *= 2
	}
	return min(delay, double(firstCrashDelay, maxCrashDelay, last.Attempt-1), maxCrashDelay)
}

// began is when an attempt that ended was started. One that could not be started
// ended as it began.
func (r *Record) began() time.Time {
	if r.Started.IsZero() {
		return r.Finished
	}
	return r.Started
}

// pending tells whether a delay since a time is still to be waited for. A time that
// lies in the future is of a clock that was set back since.
func (p *machine) pending(since time.Time, delay time.Duration) bool {
	return !p.in.Now.Before(since) && p.in.Now.Before(since.Add(delay))
}

// crashLoop tells until when the next attempt waits, and notes why.
func (p *machine) crashLoop(u *unit) bool {
	delay := u.crashDelay()
	if delay == 0 || !p.pending(u.last.Finished, delay) {
		return false
	}
	p.wakeAt(u.last.Finished.Add(delay))
	u.waiting = &Waiting{"CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
		delay, u.spec.Name, p.in.Pod.Name, p.in.Pod.Namespace, p.in.Pod.UID)}
	return true
}

// byID are all containers of the runtime, in order of ID.
func (p *machine) byID() []*Record {
	records := make([]*Record, 0, len(p.in.Containers))
	for i := range p.in.Containers {
		records = append(records, &p.in.Containers[i])
	}
	slices.SortFunc(records, func(a, b *Record) int { return cmp.Compare(a.ID, b.ID) })
	return records
}

// sandboxes are all sandboxes of the runtime, oldest first.
func (p *machine) sandboxes() []*Sandbox {
	list := make([]*Sandbox, 0, len(p.in.Sandboxes))
	for i := range p.in.Sandboxes {
		list = append(list, &p.in.Sandboxes[i])
	}
	slices.SortFunc(list, func(a, b *Sandbox) int { return cmp.Or(a.Attempt-b.Attempt, cmp.Compare(a.ID, b.ID)) })
	return list
}
