package rollout_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/garrison-project/garrison/internal/core/rollout"
)

// BenchmarkPlan measures one plan of a DaemonSet on 5,000 nodes.
func BenchmarkPlan(b *testing.B) {
	for _, c := range []struct {
		name string
		pods func(i int) []rollout.Pod
	}{
		{"settled", func(i int) []rollout.Pod { return []rollout.Pod{benchPod(i, "2", true)} }},
		{"create", func(int) []rollout.Pod { return nil }},
		{"half-updated", func(i int) []rollout.Pod {
			if i%2 == 0 {
				return []rollout.Pod{benchPod(i, "2", true)}
			}
			return []rollout.Pod{benchPod(i, "1", true)}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := rollout.Input{
				Now:      start,
				Set:      rollout.Set{Name: "ds", UID: "ds-uid", Hash: "2"},
				Strategy: rollout.Strategy{MaxUnavailable: rollout.Amount{Value: 10, Percent: true}},
			}
			for i := range 5000 {
				in.Nodes = append(in.Nodes, rollout.Node{Name: benchNode(i), Verdict: rollout.Run, Pods: c.pods(i)})
			}
			in.Memory = rollout.Plan(in).Memory
			b.ReportAllocs()
			for b.Loop() {
				rollout.Plan(in)
			}
		})
	}
}

func benchNode(i int) string { return fmt.Sprintf("node-%04d", i) }

func benchPod(i int, revision string, available bool) rollout.Pod {
	p := rollout.Pod{
		Name: fmt.Sprintf("ds-%d", i), UID: fmt.Sprintf("uid-%d", i), Node: benchNode(i),
		Bound: true, Created: start.Add(-time.Hour), Hash: revision,
	}
	if available {
		p.ReadySince = start.Add(-time.Minute)
	}
	return p
}
