package render

import (
	"testing"
	"time"

	"github.com/garrison-project/garrison/internal/core/rollout"
)

// Every kind of reason has words. What they are is shown by the transcripts of
// core/rollout.
func TestEveryKindHasWords(t *testing.T) {
	for k := rollout.CreateMissing; k <= rollout.NodeGone; k++ {
		if RolloutWord(k) == "unknown" || RolloutReason(rollout.Reason{Kind: k}, time.Time{}) == "" {
			t.Errorf("kind %d: word %q, text %q", k, RolloutWord(k), RolloutReason(rollout.Reason{Kind: k}, time.Time{}))
		}
	}
	if beyond := rollout.NodeGone + 1; RolloutWord(beyond) != "unknown" {
		t.Error("a kind was added behind NodeGone, and is not tested")
	}
}
