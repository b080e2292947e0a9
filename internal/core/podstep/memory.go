package podstep

import (
	"slices"
	"time"
)

// Memory is what Step must know of the past and the runtime cannot tell. Losing
// it is safe: a failed pull is tried again at once, a preStop hook may run again
// and the grace is counted afresh, a postStart hook is taken to have run.
type Memory struct {
	start time.Time
	// failure is what made the pod fail. It is never taken back.
	failure *Failure
	// endBy is when the patience with a pod that ends is over.
	endBy time.Time
	// tries are the operations that ended and did not help, or not yet.
	tries   []try
	attempt []attemptMemory
	// stopped are the sandboxes that were stopped.
	stopped []string
	// last is the status of the last step, without its conditions.
	last Status
}

// attemptMemory is what is remembered of one attempt of a container.
type attemptMemory struct {
	container string
	attempt   int
	// pulled: its image was pulled for it.
	pulled bool
	// postStart tells how far the hook has come.
	postStart hook
	// preStopped: the hook ran, or failed.
	preStopped bool
	// killBy is set once it was decided to kill it, for the reason why.
	killBy time.Time
	why    Why
}

type hook int

const (
	hookDone hook = iota
	// hookAwaited: the container is being started.
	hookAwaited
	hookDue
	hookFailed
)

// try is an operation that ended.
type try struct {
	// key is the operation without what differs from try to try.
	key Operation
	// attempt is the last that was tried, of what is started.
	attempt         int
	count           int
	at              time.Time
	reason, message string
}

// Back-off of operations. That of pulls is Kubernetes' own; other operations
// are retried faster, as they cost little and pods wait for them.
const (
	firstPullDelay = 10 * time.Second
	maxPullDelay   = 5 * time.Minute
	firstDelay     = time.Second
	maxDelay       = 10 * time.Second
	// forgetAfter is how long after the end of a delay the next failure counts
	// as the first again.
	forgetAfter = 10 * time.Minute
)

// until is when the operation may be tried again.
func (t *try) until() time.Time {
	if t.key.Kind == PullImage {
		return t.at.Add(double(firstPullDelay, maxPullDelay, t.count-1))
	}
	return t.at.Add(double(firstDelay, maxDelay, t.count-1))
}

// double doubles a delay n times, up to a limit.
func double(delay, limit time.Duration, n int) time.Duration {
	for ; n > 0 && delay < limit; n-- {
		delay *= 2
	}
	return min(delay, limit)
}

// key is the part of an operation that stays the same when it is tried again.
func key(op Operation) Operation {
	switch op.Kind {
	case PullImage:
		return Operation{Kind: op.Kind, Image: op.Image}
	case StartContainer:
		return Operation{Kind: op.Kind, Container: op.Container}
	case CreateSandbox:
		return Operation{Kind: op.Kind}
	}
	return Operation{Kind: op.Kind, ID: op.ID}
}

// clone is a copy that can be changed.
func (m Memory) clone() Memory {
	m.tries = slices.Clone(m.tries)
	m.attempt = slices.Clone(m.attempt)
	m.stopped = slices.Clone(m.stopped)
	return m
}

// try is what is known of earlier tries of an operation, nil if it is new.
func (m *Memory) try(op Operation) *try {
	k := key(op)
	for i := range m.tries {
		if m.tries[i].key == k {
			return &m.tries[i]
		}
	}
	return nil
}

// of is the memory of one attempt; it is made if there is none.
func (m *Memory) of(container string, attempt int) *attemptMemory {
	for i := range m.attempt {
		if a := &m.attempt[i]; a.container == container && a.attempt == attempt {
			return a
		}
	}
	m.attempt = append(m.attempt, attemptMemory{container: container, attempt: attempt})
	return &m.attempt[len(m.attempt)-1]
}

// learn takes in how an operation ended.
func (m *Memory) learn(out Outcome, postStart bool) {
	op, failed := out.Operation, out.Reason != ""
	a := m.of(op.Container, op.Attempt)
	switch {
	case op.Kind == RunPreStop:
		a.preStopped = true
		return
	case op.Kind == RunPostStart:
		a.postStart = hookDone
		if failed {
			a.postStart = hookFailed
		}
		return
	case op.Kind == PullImage && !failed:
		a.pulled = true
		m.forget(op)
		return
	case op.Kind == StopSandbox && !failed:
		m.stopped = append(m.stopped, op.ID)
	case op.Kind == StartContainer && failed:
		// The image may be what is wrong.
		a.pulled = false
	case op.Kind == StartContainer && postStart:
		a.postStart = hookDue
	}
	m.count(out)
}

// count notes one more try. Success counts, too: if the operation is wanted
// again, it did not help.
func (m *Memory) count(out Outcome) {
	t := m.try(out.Operation)
	if t == nil {
		m.tries = append(m.tries, try{key: key(out.Operation)})
		t = &m.tries[len(m.tries)-1]
	}
	if out.At.Sub(t.until()) > forgetAfter {
		t.count = 0
	}
	t.attempt, t.at = out.Operation.Attempt, out.At
	t.reason, t.message = out.Reason, out.Message
	t.count++
}

func (m *Memory) forget(op Operation) {
	k := key(op)
	m.tries = slices.DeleteFunc(m.tries, func(t try) bool { return t.key == k })
}
