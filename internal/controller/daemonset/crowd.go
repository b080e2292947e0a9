package daemonset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/view"
)

const (
	// crowdsSought is for how many pods that find no room it is sought who takes
	// it; the status does not name more nodes.
	crowdsSought = 5
	// The search is repeated while they wait, for nobody tells when its result
	// changes: after a second, or crowdRest times what it took if that is longer.
	minCrowdRest = time.Second
	crowdRest    = 20
)

// crowds are the pods that take the room of daemon pods, as last sought.
type crowds struct {
	// waiting are the pods for which it was sought.
	waiting []types.UID
	byNode  map[string][]string
	// again is when to seek anew; zero while no pod waits.
	again time.Time
}

// seekCrowds finds the pods that keep daemon pods out of their nodes though they
// could run elsewhere.
func (t *turn) seekCrowds(pods []*corev1.Pod) (crowds, error) {
	waiting := slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return !view.Unschedulable(p) })
	slices.SortFunc(waiting, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	waiting = waiting[:min(len(waiting), crowdsSought)]
	now := t.clock.Now()
	found := crowds{byNode: map[string][]string{}}
	for _, pod := range waiting {
		found.waiting = append(found.waiting, pod.UID)
	}
	switch {
	case len(waiting) == 0:
		t.memory.crowds = crowds{}
		return t.memory.crowds, nil
	case now.Before(t.memory.crowds.again) && slices.Equal(found.waiting, t.memory.crowds.waiting):
		return t.memory.crowds, nil
	}
	budgets, err := t.budgets.List(labels.Everything())
	if err != nil {
		return crowds{}, fmt.Errorf("list PodDisruptionBudgets: %w", err)
	}
	for _, pod := range waiting {
		t.addCrowd(&found, pod, budgets)
	}
	took := t.clock.Since(now)
	found.again = now.Add(max(minCrowdRest, crowdRest*took))
	t.memory.crowds = found
	return found, nil
}

func (t *turn) addCrowd(found *crowds, pod *corev1.Pod, budgets []*policyv1.PodDisruptionBudget) {
	node, pinned := place.PinnedNode(pod)
	if !pinned {
		return
	}
	if names := t.surroundings.crowd(pod, budgets); len(names) > 0 {
		found.byNode[node] = names
	}
}
