package daemonset

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/view"
)

// memory is what is remembered of one DaemonSet from turn to turn. Only the
// worker that has its turn may touch it.
type memory struct {
	uid     types.UID
	rollout rollout.Memory
	ledger  *ledger
	// window is how many creates are tried at once at first; it grows while they
	// succeed and starts anew when one fails.
	window int
	// taken are names of pods that others hold, in order.
	taken []string
	// createFailure is why the latest create failed, empty if it did not.
	createFailure string
	// refusedGrace is the placement grace that was last told to be invalid.
	refusedGrace string
	crowds       crowds

	template  template
	standings standings
}

// template is what a pod template comes to; it is valid for one generation of
// the DaemonSet and one collision count.
type template struct {
	generation int64
	collisions int32
	subject    *place.Subject
	data       []byte
	hash       string
}

// standings are how the nodes of a roster stand to a template.
type standings struct {
	roster  *view.Roster
	subject *place.Subject
	nodes   []view.Standing
}

// memoryOf returns the memory of a DaemonSet. One of the same name but with
// another UID is another DaemonSet.
func (c *Controller) memoryOf(key types.NamespacedName, uid types.UID) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.records[key]
	if m == nil || m.uid != uid {
		m = &memory{uid: uid, ledger: newLedger(c.clock), window: firstWindow}
		c.records[key] = m
	}
	return m
}

// forget drops what is remembered of a DaemonSet that is gone.
func (c *Controller) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.records, key)
	c.pacer.forget(key)
}
