package cluster

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// untilDone is a part that behaves.
func untilDone(name string) part {
	return part{name, func(ctx context.Context) { <-ctx.Done() }}
}

func TestPartsEndTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startParts(t.Context(), []part{untilDone("one"), untilDone("two")})
		synctest.Wait()
		select {
		case <-p.failed:
			t.Fatal("failed while all is well")
		case <-p.ended:
			t.Fatal("ended without being asked")
		default:
		}
		if err := p.stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

func TestPartThatEndsEarlyIsAFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		run  func(context.Context)
		want string
	}{
		"returns": {func(context.Context) {}, "lazy ended by itself"},
		"panics":  {func(context.Context) { panic("boom") }, "lazy: panic: boom\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := startParts(t.Context(), []part{untilDone("steady"), {"lazy", tc.run}})
				<-p.failed
				if err := p.stop(t.Context()); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
					t.Errorf("stop: %v, want %q", err, tc.want)
				}
			})
		})
	}
}

func TestStopNamesWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := startParts(t.Context(), []part{
			untilDone("quick"),
			{"stuck", func(context.Context) { <-release }},
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := p.stop(ctx); err == nil || err.Error() != "still running: stuck" {
			t.Errorf("stop: %v", err)
		}
		close(release)
		<-p.ended
	})
}
