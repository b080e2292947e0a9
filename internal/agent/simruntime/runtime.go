package simruntime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/agent"
)

// Call is one call of the runtime.
type Call struct {
	// Method is that of agent.Runtime. Pod is empty for what concerns no pod.
	Method string
	Pod    agent.PodName
	// Target is the container's name, the image, or the ID of a sandbox.
	Target  string
	Attempt int
}

// Runtime is the runtime. Make it with New.
type Runtime struct {
	clock clock.WithDelayedExecution

	mu         sync.Mutex
	before     func(context.Context, Call) error
	other      Script
	condition  agent.Condition
	made       int // IDs and addresses given
	sandboxes  map[string]*sandbox
	containers map[string]*container
	images     map[string]agent.Image // by the name in the spec
	watches    map[*watch]struct{}
}

var _ agent.Runtime = (*Runtime)(nil)

// New makes an empty runtime.
func New(c clock.WithDelayedExecution) *Runtime {
	return &Runtime{
		clock:      c,
		condition:  agent.Condition{Name: "simruntime", Version: "1"},
		sandboxes:  map[string]*sandbox{},
		containers: map[string]*container{},
		images:     map[string]agent.Image{},
		watches:    map[*watch]struct{}{},
	}
}

// Before has every call that changes something ask f first, which may wait or
// fail; Look, Watch, Condition and the listing of images do not ask.
func (r *Runtime) Before(f func(context.Context, Call) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = f
}

// Other is what programs other than simulate do; at first that is to run for ever.
func (r *Runtime) Other(s Script) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.other = s
}

// SetCondition sets what Condition tells.
func (r *Runtime) SetCondition(c agent.Condition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.condition = c
}

// ask gives Before its say.
func (r *Runtime) ask(ctx context.Context, c Call) error {
	r.mu.Lock()
	before := r.before
	r.mu.Unlock()
	if before != nil {
		if err := before(ctx, c); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Look implements agent.Runtime.
func (r *Runtime) Look(ctx context.Context) ([]agent.Holding, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	byUID := map[types.UID]*agent.Holding{}
	of := func(pod agent.PodName) *agent.Holding {
		if byUID[pod.UID] == nil {
			byUID[pod.UID] = &agent.Holding{Pod: pod}
		}
		return byUID[pod.UID]
	}
	for _, id := range slices.Sorted(maps.Keys(r.sandboxes)) {
		s := r.sandboxes[id]
		h := of(s.pod)
		record := s.record
		record.IPs = slices.Clone(record.IPs)
		h.Sandboxes = append(h.Sandboxes, record)
	}
	for _, id := range slices.Sorted(maps.Keys(r.containers)) {
		c := r.containers[id]
		h := of(c.pod)
		h.Containers = append(h.Containers, c.record)
	}
	var holdings []agent.Holding
	for _, uid := range slices.Sorted(maps.Keys(byUID)) {
		holdings = append(holdings, *byUID[uid])
	}
	return holdings, ctx.Err()
}

// Condition implements agent.Runtime.
func (r *Runtime) Condition(ctx context.Context) (agent.Condition, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.condition, ctx.Err()
}

// newID is called with the lock held.
func (r *Runtime) newID(kind string) string {
	r.made++
	return fmt.Sprintf("%s-%04d", kind, r.made)
}
