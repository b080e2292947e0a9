package agent

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// lookInterval is how often the runtime is looked at though it told nothing.
	lookInterval = 10 * time.Second
	// lookPause is waited after a look that failed.
	lookPause = time.Second
)

// sight is what the runtime was last seen to hold. One look serves all pods, and
// all who ask for one while another is under way.
type sight struct {
	runtime Runtime
	clock   clock.WithTicker
	// changed is told of each pod of which something else is held than before.
	changed func(types.UID)
	// took, if set, is told how long a look took.
	took  func(time.Duration)
	asked chan struct{} // holds one

	mu       sync.Mutex
	holdings map[types.UID]Holding
	// begun and done number the looks: the last begun, the last that succeeded.
	begun, done uint64
	// news is closed, and made anew, when a look has succeeded.
	news chan struct{}
	// answered is when a look has succeeded last, or the first began; problem is
	// why the last one has failed.
	answered time.Time
	problem  error
}

func newSight(runtime Runtime, c clock.WithTicker, changed func(types.UID)) *sight {
	return &sight{runtime: runtime, clock: c, changed: changed, asked: make(chan struct{}, 1), news: make(chan struct{})}
}

// run looks when asked, and from time to time, until ctx is done.
func (s *sight) run(ctx context.Context) {
	s.mu.Lock()
	s.answered = s.clock.Now()
	s.mu.Unlock()
	failing := false
	for {
		pause := lookInterval
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			pause = lookPause
			if !failing {
				klog.FromContext(ctx).Error(err, "The container runtime cannot be looked at, will be tried again")
			}
			failing = true
		} else {
			failing = false
		}
		timer := s.clock.NewTimer(pause)
		asked := s.asked
		if failing {
			asked = nil // who asks waits like all others
		}
		select {
		case <-ctx.Done():
		case <-timer.C():
		case <-asked:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (s *sight) look(ctx context.Context) error {
	s.mu.Lock()
	s.begun++
	number := s.begun
	s.mu.Unlock()
	var list []Holding
	began := s.clock.Now()
	err := safely(ctx, func() (err error) {
		list, err = s.runtime.Look(ctx)
		return err
	})
	if err != nil {
		s.mu.Lock()
		s.problem = err
		s.mu.Unlock()
		return err
	}
	if s.took != nil {
		s.took(s.clock.Since(began))
	}
	seen := make(map[types.UID]Holding, len(list))
	for _, h := range list {
		seen[h.Pod.UID] = sortedHolding(h)
	}
	s.mu.Lock()
	changed := differing(s.holdings, seen)
	s.holdings, s.done = seen, number
	s.answered, s.problem = s.clock.Now(), nil
	close(s.news)
	s.news = make(chan struct{})
	s.mu.Unlock()
	for _, uid := range changed {
		s.changed(uid)
	}
	return nil
}

// sortedHolding is a holding that can be compared with another.
func sortedHolding(h Holding) Holding {
	slices.SortFunc(h.Sandboxes, func(a, b SandboxRecord) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(h.Containers, func(a, b ContainerRecord) int { return cmp.Compare(a.ID, b.ID) })
	return h
}

// differing are the pods of which not the same is held, sorted.
func differing(before, after map[types.UID]Holding) []types.UID {
	var out []types.UID
	for uid, h := range after {
		if old, known := before[uid]; !known || !reflect.DeepEqual(old, h) {
			out = append(out, uid)
		}
	}
	for uid := range before {
		if _, still := after[uid]; !still {
			out = append(out, uid)
		}
	}
	slices.Sort(out)
	return out
}

// ask wants a look soon.
func (s *sight) ask() {
	select {
	case s.asked <- struct{}{}:
	default:
	}
}

// refresh returns once a look has succeeded that began after the call, or ctx is
// done.
func (s *sight) refresh(ctx context.Context) error {
	s.mu.Lock()
	wanted := s.begun + 1
	s.mu.Unlock()
	s.ask()
	for {
		s.mu.Lock()
		done, news := s.done, s.news
		s.mu.Unlock()
		if done >= wanted {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}

// holding is what is held of one pod. It must not be changed.
func (s *sight) holding(uid types.UID) Holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holdings[uid]
}

// all are the pods of which something is held, sorted.
func (s *sight) all() []Holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Holding, 0, len(s.holdings))
	for _, h := range s.holdings {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b Holding) int { return cmp.Compare(a.Pod.UID, b.Pod.UID) })
	return out
}
