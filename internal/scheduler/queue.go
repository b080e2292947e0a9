package scheduler

import (
	"container/heap"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/place"
)

const (
	// initialBackoff is the least time between two attempts at a pod; it
	// doubles with each up to maxBackoff.
	initialBackoff = time.Second
	maxBackoff     = 10 * time.Second
	// maxParked is how long a pod waits at most for an event to help it, in
	// case one was missed.
	maxParked = 5 * time.Minute
)

// queue holds the pods without a node. Each is in one state:
//
//	due      to be tried now, in order of priority, then age
//	waiting  to be tried at a time, or earlier if something changes that
//	         refused it
//	held     in the hands of a step: it is being bound
//
// A pod that is stored with its node is held as well, and waits then for the event
// that tells of it.
//
// It keeps no time and takes no locks.
type queue struct {
	entries map[types.NamespacedName]*entry
	due     entryHeap
	waiting entryHeap
	// parked finds the waiting pods that events can help, by the node they
	// are pinned to ("" for none).
	parked map[string]map[*entry]struct{}
	// lonely are the parked pods that other pods refused, wherever these are.
	lonely map[*entry]struct{}
	// arrivals numbers the pods in the order they came.
	arrivals uint64
}

type state uint8

const (
	held state = iota
	due
	waiting
)

// entry is one pod without a node.
type entry struct {
	pod     *corev1.Pod
	subject *place.Subject
	state   state
	arrival uint64
	// attempts counts how often the pod was tried.
	attempts int
	// at is when a waiting pod becomes due by itself.
	at time.Time
	// earliest is when an event may make it due: attempts are kept apart.
	earliest time.Time
	// refused are the filters to wait for; none unless parked.
	refused place.FilterSet
	// stored pods have a node, but no event has told of them yet.
	stored bool
	// index is the position in the heap of the state.
	index int
}

func newQueue() *queue {
	return &queue{
		entries: map[types.NamespacedName]*entry{},
		due:     entryHeap{before: dueBefore},
		waiting: entryHeap{before: waitingBefore},
		parked:  map[string]map[*entry]struct{}{},
		lonely:  map[*entry]struct{}{},
	}
}

// add makes a new pod due.
func (q *queue) add(pod *corev1.Pod) *entry {
	e := q.hold(pod, place.ForPod(pod))
	q.enter(e, due)
	return e
}

// hold takes in a pod that is about to be stored with its node, or to become due.
func (q *queue) hold(pod *corev1.Pod, subject *place.Subject) *entry {
	q.arrivals++
	e := &entry{pod: pod, subject: subject, arrival: q.arrivals}
	q.entries[subject.Key] = e
	return e
}

// await lets a held pod that is stored with its node wait for the event that
// tells of it, until some time.
func (q *queue) await(e *entry, until time.Time) {
	e.stored, e.at = true, until
	q.enter(e, waiting)
}

// before reports whether a pod is to be tried now that comes before a new one of
// the priority.
func (q *queue) before(priority int32, now time.Time) bool {
	q.ripen(now)
	return q.due.Len() > 0 && q.due.entries[0].subject.Priority >= priority
}

// amend takes over what a known pod asks for now, which is a reason to try it.
func (q *queue) amend(e *entry, pod *corev1.Pod, now time.Time) {
	was := e.state
	q.leave(e) // under the node that it was pinned to
	e.pod, e.subject = pod, place.ForPod(pod)
	q.enter(e, was)
	if was == waiting {
		q.hasten(e, now)
	}
}

// remove forgets a pod.
func (q *queue) remove(key types.NamespacedName) {
	if e, ok := q.entries[key]; ok {
		q.leave(e)
		delete(q.entries, key)
	}
}

// has reports whether the entry still stands for its pod: it does not after
// the pod was removed, even if another of its name was added.
func (q *queue) has(e *entry) bool { return q.entries[e.subject.Key] == e }

// pop hands out the pod to try now, or nil. Give it back with retry or park,
// or remove it.
func (q *queue) pop(now time.Time) *entry {
	q.ripen(now)
	if q.due.Len() == 0 {
		return nil
	}
	e := q.due.entries[0]
	q.move(e, held)
	e.attempts++
	e.earliest = now.Add(backoff(e.attempts))
	return e
}

// ripen makes the waiting pods due whose time has come.
func (q *queue) ripen(now time.Time) {
	for q.waiting.Len() > 0 && !q.waiting.entries[0].at.After(now) {
		q.move(q.waiting.entries[0], due)
	}
}

// backoff is the pause after so many attempts.
func backoff(attempts int) time.Duration {
	d := initialBackoff
	for i := 1; i < attempts && d < maxBackoff; i++ {
		d *= 2
	}
	return min(d, maxBackoff)
}

// retry lets the pod wait for its backoff only.
func (q *queue) retry(e *entry) {
	q.leave(e)
	e.at, e.refused = e.earliest, 0
	q.enter(e, waiting)
}

// park lets the pod wait for a change that concerns the filters.
func (q *queue) park(e *entry, refused place.FilterSet, now time.Time) {
	q.leave(e)
	e.at, e.refused = now.Add(maxParked), refused
	q.enter(e, waiting)
}

// change is something that may let refused pods through.
type change struct {
	filters place.FilterSet
	// node is where it happened, so that pods pinned elsewhere need not care.
	// A change that concerns pods wherever they are has no node, and can only
	// be about their company.
	node string
}

// wake hastens the parked pods that a change may help, and reports whether
// there are any. Those whom it cannot help cost nothing, unless they have no
// node of their own.
func (q *queue) wake(c change, now time.Time) bool {
	if c.node == "" {
		return q.wakeAmong(q.lonely, c, now)
	}
	woken := q.wakeAmong(q.parked[c.node], c, now)
	return q.wakeAmong(q.parked[""], c, now) || woken
}

func (q *queue) wakeAmong(entries map[*entry]struct{}, c change, now time.Time) bool {
	woken := false
	for e := range entries {
		if e.refused.Intersects(c.filters) {
			q.hasten(e, now)
			woken = true
		}
	}
	return woken
}

// wakeOwned hastens the waiting pods of an owner, whatever refused them, and
// reports whether there are any. It looks at every pod, which is for what seldom
// happens.
func (q *queue) wakeOwned(owner types.UID, now time.Time) bool {
	woken := false
	for _, e := range q.entries {
		ref := metav1.GetControllerOfNoCopy(e.pod)
		if e.state == waiting && !e.stored && ref != nil && ref.UID == owner {
			q.hasten(e, now)
			woken = true
		}
	}
	return woken
}

// hasten makes a waiting pod due as soon as its backoff allows.
func (q *queue) hasten(e *entry, now time.Time) {
	if e.earliest.After(now) {
		q.retry(e)
		return
	}
	q.move(e, due)
}

// next returns when pop may have a pod: now if one is due, zero if never.
func (q *queue) next(now time.Time) time.Time {
	if q.due.Len() > 0 {
		return now
	}
	if q.waiting.Len() > 0 {
		return q.waiting.entries[0].at
	}
	return time.Time{}
}

func (q *queue) move(e *entry, to state) {
	q.leave(e)
	q.enter(e, to)
}

// leave takes the entry out of its state, into the hands of the caller.
func (q *queue) leave(e *entry) {
	switch e.state {
	case due:
		heap.Remove(&q.due, e.index)
	case waiting:
		heap.Remove(&q.waiting, e.index)
		q.unpark(e)
	}
	e.state = held
}

func (q *queue) enter(e *entry, to state) {
	e.state = to
	switch to {
	case due:
		heap.Push(&q.due, e)
	case waiting:
		heap.Push(&q.waiting, e)
	}
	if to != waiting {
		e.refused = 0
	}
	if e.refused == 0 {
		return
	}
	if q.parked[e.subject.Pinned] == nil {
		q.parked[e.subject.Pinned] = map[*entry]struct{}{}
	}
	q.parked[e.subject.Pinned][e] = struct{}{}
	if e.refused.Intersects(place.CompanyFilters) {
		q.lonely[e] = struct{}{}
	}
}

func (q *queue) unpark(e *entry) {
	delete(q.lonely, e)
	if pinned := q.parked[e.subject.Pinned]; pinned != nil {
		if delete(pinned, e); len(pinned) == 0 {
			delete(q.parked, e.subject.Pinned)
		}
	}
}

// dueBefore orders by priority, then age.
func dueBefore(a, b *entry) bool {
	if a.subject.Priority != b.subject.Priority {
		return a.subject.Priority > b.subject.Priority
	}
	return a.arrival < b.arrival
}

// waitingBefore orders by time, then as if due.
func waitingBefore(a, b *entry) bool {
	if !a.at.Equal(b.at) {
		return a.at.Before(b.at)
	}
	return dueBefore(a, b)
}

// entryHeap is a container/heap of entries that know their position.
type entryHeap struct {
	entries []*entry
	before  func(a, b *entry) bool
}

func (h *entryHeap) Len() int           { return len(h.entries) }
func (h *entryHeap) Less(i, j int) bool { return h.before(h.entries[i], h.entries[j]) }

func (h *entryHeap) Swap(i, j int) {
	h.entries[i], h.entries[j] = h.entries[j], h.entries[i]
	h.entries[i].index, h.entries[j].index = i, j
}

func (h *entryHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(h.entries)
	h.entries = append(h.entries, e)
}

func (h *entryHeap) Pop() any {
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries[last] = nil
	h.entries = h.entries[:last]
	return e
}
