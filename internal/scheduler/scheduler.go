package scheduler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	policylisters "k8s.io/client-go/listers/policy/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/core/place"
)

// Writer is what the scheduler changes in the API.
type Writer interface {
	// BindPod sets the pod's node and its PodScheduled condition.
	BindPod(ctx context.Context, binding *corev1.Binding) error
	// UpdatePodStatus replaces the pod's status.
	UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	// DeletePod deletes a pod, gracefully unless the options say otherwise.
	DeletePod(ctx context.Context, key types.NamespacedName, options metav1.DeleteOptions) error
	// CreateEvent stores an event.
	CreateEvent(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error)
}

// Options say what a scheduler works with. Writer and Informers are required.
type Options struct {
	Writer    Writer
	Informers informers.SharedInformerFactory
	Clock     clock.WithTicker // default: the system's
	// Name is the schedulerName of the pods to schedule; by default
	// default-scheduler.
	Name string
	// Workers is how many writes may be under way at once; by default 16, so
	// that the store can put several into one sync of its disk.
	Workers int
}

// Scheduler binds pods. Make it with New.
type Scheduler struct {
	name     string
	workers  int
	writer   Writer
	clock    clock.WithTicker
	recorder *recorder
	// kick holds a token for each worker that should look at the queue.
	kick    chan struct{}
	watches []watch
	pods    corelisters.PodLister
	budgets policylisters.PodDisruptionBudgetLister
	daemons appslisters.DaemonSetLister

	// mu guards what is known and what is to do: both change together.
	mu      sync.Mutex
	cluster *place.Cluster
	queue   *queue
	// running is set while Run knows all there is to know.
	running bool
}

// watch is a registration at an informer, to be undone at the end.
type watch struct {
	informer     cache.SharedIndexInformer
	registration cache.ResourceEventHandlerRegistration
}

// New registers a scheduler at the informers, which are to be started after.
// Nothing is bound before Run or Step.
func New(o Options) (*Scheduler, error) {
	if o.Writer == nil || o.Informers == nil {
		return nil, errors.New("scheduler: Writer and Informers are required")
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Name == "" {
		o.Name = corev1.DefaultSchedulerName
	}
	if o.Workers == 0 {
		o.Workers = 16
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("scheduler: find the host's name: %w", err)
	}
	s := &Scheduler{
		name:     o.Name,
		workers:  o.Workers,
		writer:   o.Writer,
		clock:    o.Clock,
		recorder: newRecorder(o.Writer, o.Clock, reporter{controller: o.Name, instance: o.Name + "-" + host}),
		kick:     make(chan struct{}, o.Workers),
		pods:     o.Informers.Core().V1().Pods().Lister(),
		budgets:  o.Informers.Policy().V1().PodDisruptionBudgets().Lister(),
		daemons:  o.Informers.Apps().V1().DaemonSets().Lister(),
		cluster:  place.NewCluster(),
		queue:    newQueue(),
	}
	if err := s.watch(o.Informers); err != nil {
		return nil, err
	}
	return s, nil
}

// Run schedules pods until ctx is done, and returns when all that it started
// has ended.
func (s *Scheduler) Run(ctx context.Context) error {
	defer s.unwatch()
	for _, w := range s.watches {
		if !cache.WaitForCacheSync(ctx.Done(), w.registration.HasSynced) {
			return ctx.Err()
		}
	}
	s.setRunning(true)
	var running sync.WaitGroup
	running.Go(func() {
		<-ctx.Done()
		s.setRunning(false)
	})
	running.Go(func() { s.recorder.run(ctx) })
	for range s.workers {
		running.Go(func() { s.work(ctx) })
	}
	running.Wait()
	return ctx.Err()
}

func (s *Scheduler) setRunning(running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = running
}

// work takes steps until ctx is done, and rests while there is nothing to do.
func (s *Scheduler) work(ctx context.Context) {
	for ctx.Err() == nil {
		wake, err := s.guardedStep(ctx)
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Scheduling failed, will be repeated")
		}
		s.rest(ctx, wake)
	}
}

// rest waits for ctx, for a kick, or for the wake-up; zero means none.
func (s *Scheduler) rest(ctx context.Context, wake time.Time) {
	var timer <-chan time.Time
	if !wake.IsZero() {
		pause := wake.Sub(s.clock.Now())
		if pause <= 0 {
			return
		}
		t := s.clock.NewTimer(pause)
		defer t.Stop()
		timer = t.C()
	}
	select {
	case <-ctx.Done():
	case <-s.kick:
	case <-timer:
	}
}

// guardedStep keeps a panic over one pod from ending the process.
func (s *Scheduler) guardedStep(ctx context.Context) (wake time.Time, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			wake, err = s.clock.Now(), fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return s.Step(ctx)
}

// wakeWorker lets a resting worker look at the queue.
func (s *Scheduler) wakeWorker() {
	select {
	case s.kick <- struct{}{}:
	default: // as many tokens as workers: all will look
	}
}
