package loop

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// run starts a loop and returns what ends it.
func run(t *testing.T, l *Loop[string]) func() {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	return func() { cancel(); <-ended }
}

func TestStepNamesItsNextTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var turns []time.Duration
		l := New(Options[string]{Name: "test", Workers: 3, Step: func(context.Context, string) (time.Time, error) {
			turns = append(turns, time.Since(start))
			if len(turns) == 3 {
				return time.Time{}, nil
			}
			return time.Now().Add(time.Minute), nil
		}})
		l.Add("a")
		l.Add("a")
		stop := run(t, l)
		time.Sleep(time.Hour)
		stop()
		if len(turns) != 3 || turns[0] != 0 || turns[1] != time.Minute || turns[2] != 2*time.Minute {
			t.Errorf("turns at %v", turns)
		}
	})
}

func TestFailureAndPanicAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var turns []time.Duration
		l := New(Options[string]{Name: "test", Workers: 1, MinPause: time.Second, MaxPause: 3 * time.Second,
			Step: func(context.Context, string) (time.Time, error) {
				turns = append(turns, time.Since(start))
				switch len(turns) {
				case 1:
					panic("broken")
				case 5:
					return time.Time{}, nil
				}
				return time.Time{}, errors.New("not yet")
			}})
		l.Add("a")
		stop := run(t, l)
		time.Sleep(time.Hour)
		stop()
		want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 6 * time.Second, 9 * time.Second}
		if len(turns) != len(want) {
			t.Fatalf("turns at %v, want %v", turns, want)
		}
		for i := range want {
			if turns[i] != want[i] {
				t.Errorf("turns at %v, want %v", turns, want)
				break
			}
		}
	})
}

func TestNoStepAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, release, steps := make(chan struct{}), make(chan struct{}), 0
		l := New(Options[string]{Name: "test", Workers: 1, Step: func(context.Context, string) (time.Time, error) {
			steps++
			close(begun)
			<-release
			return time.Time{}, nil
		}})
		l.Add("a")
		l.Add("b")
		stop := run(t, l)
		<-begun
		go func() { time.Sleep(time.Second); close(release) }()
		stop()
		if steps != 1 {
			t.Errorf("%d steps; the second key was to be dropped", steps)
		}
	})
}

func TestLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options[string]{Name: "test", Workers: 3, Step: func(_ context.Context, key string) (time.Time, error) {
			switch key {
			case "long":
				time.Sleep(time.Hour)
			case "broken":
				panic("broken")
			}
			return time.Time{}, nil
		}})
		stop := run(t, l)
		l.Add("short")
		synctest.Wait()
		if got := l.Longest(); got != 0 {
			t.Errorf("with no step under way: %v", got)
		}
		l.Add("long")
		time.Sleep(time.Minute)
		l.Add("broken")
		time.Sleep(time.Minute)
		if got := l.Longest(); got != 2*time.Minute {
			t.Errorf("two minutes after it began: %v", got)
		}
		time.Sleep(time.Hour)
		stop()
		if got := l.Longest(); got != 0 {
			t.Errorf("after its end: %v", got)
		}
	})
}
