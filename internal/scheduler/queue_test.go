package scheduler

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/garrison-project/garrison/internal/core/place"
)

// The queue hands out each pod that is there again and again until it is
// removed, never two at once for one, never before its time, the highest
// priority and the oldest first.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, now := newQueue(), time.Unix(0, 0)
		heldEntries, notBefore := map[*entry]bool{}, map[*entry]time.Time{}
		// oldest takes a held pod that a step has, or one that is being stored.
		oldest := func(t *rapid.T, storing bool) *entry {
			var first *entry
			for e := range heldEntries {
				if (e.attempts == 0) == storing && (first == nil || e.arrival < first.arrival) {
					first = e
				}
			}
			if first == nil {
				t.Skip("no pod is held")
			}
			delete(heldEntries, first)
			return first
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				q.add(drawPod(t, q))
			},
			"hold": func(t *rapid.T) {
				pod := drawPod(t, q)
				heldEntries[q.hold(pod, place.ForPod(pod))] = true
			},
			"await": func(t *rapid.T) {
				e := oldest(t, true)
				notBefore[e] = now.Add(maxUnseen)
				q.await(e, now.Add(maxUnseen))
			},
			"pop": func(t *rapid.T) {
				e := q.pop(now)
				if e == nil {
					return
				}
				if heldEntries[e] {
					t.Fatalf("%v was handed out twice", e.subject.Key)
				}
				if due, tried := notBefore[e]; tried && now.Before(due) {
					t.Fatalf("%v came before its time", e.subject.Key)
				}
				notBefore[e] = now.Add(min(maxBackoff, initialBackoff<<(e.attempts-1)))
				checkFirst(t, q, e)
				if heldEntries[e] = true; e.stored { // nobody has ever seen it
					delete(heldEntries, e)
					q.remove(e.subject.Key)
				}
			},
			"retry": func(t *rapid.T) {
				q.retry(oldest(t, false))
			},
			"park": func(t *rapid.T) {
				filters := rapid.SampledFrom([]place.FilterSet{place.RoomFilters, place.CompanyFilters}).Draw(t, "filters")
				q.park(oldest(t, false), filters, now)
			},
			"remove": func(t *rapid.T) {
				e := oldest(t, rapid.Bool().Draw(t, "storing"))
				q.remove(e.subject.Key)
				if q.has(e) {
					t.Fatal("a removed pod is still there")
				}
			},
			"before": func(t *rapid.T) { checkBefore(t, q, now) },
			"wake": func(t *rapid.T) {
				c := change{filters: place.CompanyFilters}
				if c.node = rapid.SampledFrom([]string{"", "n1", "n2"}).Draw(t, "node"); c.node != "" {
					c.filters = place.RoomFilters
				}
				q.wake(c, now)
				checkWoken(t, q, c)
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			},
			"": func(t *rapid.T) { checkQueue(t, q, len(heldEntries), now) },
		})
	})
}

func drawPod(t *rapid.T, q *queue) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Name = fmt.Sprintf("pod-%d", q.arrivals)
	priority := rapid.Int32Range(0, 2).Draw(t, "priority")
	pod.Spec.Priority = &priority
	pod.Spec.NodeName = rapid.SampledFrom([]string{"", "n1", "n2"}).Draw(t, "pin")
	return pod
}

// checkFirst checks that nobody should have come before what was handed out.
func checkFirst(t *rapid.T, q *queue, e *entry) {
	for _, other := range q.due.entries {
		if dueBefore(other, e) {
			t.Fatalf("%v came before %v", e.subject.Key, other.subject.Key)
		}
	}
}

// checkBefore checks that a new pod waits exactly if another one of its priority or
// higher is to be tried now.
func checkBefore(t *rapid.T, q *queue, now time.Time) {
	priority, first := rapid.Int32Range(0, 2).Draw(t, "priority"), false
	for _, e := range q.entries {
		ready := e.state == due || e.state == waiting && !e.at.After(now)
		first = first || ready && e.subject.Priority >= priority
	}
	if got := q.before(priority, now); got != first {
		t.Fatalf("before(%d) is %v", priority, got)
	}
}

// checkWoken checks that nobody sleeps on whom a change may help.
func checkWoken(t *rapid.T, q *queue, c change) {
	for _, e := range q.waiting.entries {
		pinned := e.subject.Pinned
		if e.refused.Intersects(c.filters) && (c.node == "" || pinned == c.node || pinned == "") {
			t.Fatalf("a pod pinned to %q sleeps on", pinned)
		}
	}
}

// checkQueue checks that every pod is in exactly one place, and that the next
// wake-up is not later than the first of them.
func checkQueue(t *rapid.T, q *queue, held int, now time.Time) {
	if got := q.due.Len() + q.waiting.Len() + held; got != len(q.entries) {
		t.Fatalf("%d pods, but %d are due, waiting or held", len(q.entries), got)
	}
	inIndex := 0
	for pinned, entries := range q.parked {
		for e := range entries {
			inIndex++
			if e.state != waiting || e.refused == 0 || e.subject.Pinned != pinned {
				t.Fatalf("%v is parked by mistake", e.subject.Key)
			}
		}
	}
	wake := q.next(now)
	for _, e := range q.waiting.entries {
		if e.refused != 0 {
			inIndex--
		}
		if wake.IsZero() || wake.After(e.at) && wake.After(now) {
			t.Fatalf("%v would be late: due at %v, next wake-up at %v", e.subject.Key, e.at, wake)
		}
	}
	if inIndex != 0 {
		t.Fatalf("the index of parked pods is off by %d", inIndex)
	}
}
