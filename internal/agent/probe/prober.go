package probe

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/record"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// Options are what a Prober works with. All are required.
type Options struct {
	Exec Executor
	// Recorder takes events about containers.
	Recorder record.EventRecorder
	// Wake is called when a result of a pod has changed.
	Wake func(types.UID)
}

// Prober runs the probes of all pods, each in a goroutine of its own that ends
// with its container. It implements agent.Prober.
type Prober struct {
	Options
	transport *http.Transport
	// began is when the agent did: containers that are older were probed by
	// another one.
	began time.Time

	// all is what every probe ends with; stop is called by Run.
	all     context.Context
	stop    context.CancelFunc
	workers sync.WaitGroup

	measures *measures

	mu   sync.Mutex
	pods map[types.UID]map[attempt]*watch
	// counted are the pods, and their containers, of which there are numbers.
	counted map[types.UID]counted
}

// counted are the containers of a pod whose probes are counted.
type counted struct {
	pod        *corev1.Pod
	containers sets.Set[string]
}

// attempt is one container of a pod.
type attempt struct {
	container, id string
	number        int
}

var _ agent.Prober = (*Prober)(nil)

// New makes a prober. It must be run, since nothing else ends its probes.
func New(options Options) *Prober {
	all, stop := context.WithCancel(context.Background())
	return &Prober{
		Options: options, transport: newTransport(), began: time.Now(),
		all: all, stop: stop, measures: newMeasures(), pods: map[types.UID]map[attempt]*watch{}, counted: map[types.UID]counted{},
	}
}

// Run returns when ctx is done and all probes have ended.
func (p *Prober) Run(ctx context.Context) {
	<-ctx.Done()
	p.mu.Lock()
	p.stop() // nothing is begun any more
	p.mu.Unlock()
	p.workers.Wait()
}

// Sync begins and ends probes as the containers of a pod do; see agent.Prober.
func (p *Prober) Sync(pod *corev1.Pod, targets []agent.ProbeTarget) []podstep.ProbeResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, now := p.pods[pod.UID], map[attempt]*watch{}
	var results []podstep.ProbeResult
	for _, target := range targets {
		key := attempt{container: target.Spec.Name, id: target.ID, number: target.Attempt}
		w := before[key]
		if w == nil {
			w = p.begin(pod, target)
		}
		now[key] = w
		results = append(results, w.sync(target))
	}
	for key, w := range before {
		if now[key] == nil {
			w.end()
		}
	}
	if p.pods[pod.UID] = now; len(now) == 0 {
		delete(p.pods, pod.UID)
	}
	return results
}

// Forget ends all probes of a pod.
func (p *Prober) Forget(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.pods[uid] {
		w.end()
	}
	delete(p.pods, uid)
	for container := range p.counted[uid].containers {
		p.measures.forget(p.counted[uid].pod, container)
	}
	delete(p.counted, uid)
}

// begin starts the probes of a container.
func (p *Prober) begin(pod *corev1.Pod, target agent.ProbeTarget) *watch {
	w := newWatch(p, pod, target)
	if p.all.Err() != nil {
		return w
	}
	if p.counted[pod.UID].pod == nil {
		p.counted[pod.UID] = counted{pod, sets.New[string]()}
	}
	p.counted[pod.UID].containers.Insert(target.Spec.Name)
	for _, k := range kinds {
		if spec := k.spec(target.Spec); spec != nil {
			p.workers.Go(func() { w.run(k, complete(spec)) })
		}
	}
	return w
}

// stagger is how long to wait before the first probe of a container. Those of
// an earlier agent's would all come at once when a new one begins.
func (p *Prober) stagger(started time.Time, period time.Duration) time.Duration {
	if !started.Before(p.began) {
		return 0
	}
	return rand.N(period)
}
