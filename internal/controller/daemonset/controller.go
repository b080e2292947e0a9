package daemonset

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	policylisters "k8s.io/client-go/listers/policy/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/loop"
)

// Writer makes the writes that are frequent.
type Writer interface {
	CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	DeletePod(ctx context.Context, name types.NamespacedName, options metav1.DeleteOptions) error
	UpdateDaemonSetStatus(ctx context.Context, ds *appsv1.DaemonSet) (*appsv1.DaemonSet, error)
}

// Options are what a Controller needs. Client, Informers and Writer are
// required.
type Options struct {
	// Client makes the writes that are rare, and the reads that must not come
	// from a cache.
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Writer    Writer
	// Workers is how many DaemonSets are dealt with at once; default 2.
	Workers int
	// Events takes what is worth telling the user; default: events of
	// daemonset-controller through Client, written while Run runs.
	Events record.EventRecorder
	Clock  clock.WithTicker // default: the system's
}

// component is what events name as their source.
const component = "daemonset-controller"

// Controller keeps all DaemonSets of a cluster.
type Controller struct {
	client kubernetes.Interface
	writer Writer
	clock  clock.WithTicker
	events record.EventRecorder
	// broadcaster is nil if the events go elsewhere.
	broadcaster record.EventBroadcaster

	sets      appslisters.DaemonSetLister
	pods      corelisters.PodLister
	podIndex  cache.Indexer
	revisions cache.Indexer
	budgets   policylisters.PodDisruptionBudgetLister
	synced    []cache.InformerSynced

	roster       *roster
	surroundings *surroundings
	watched      *watched
	pacer        *pacer
	loop         *loop.Loop[types.NamespacedName]

	mu      sync.Mutex
	records map[types.NamespacedName]*memory
}

// New prepares a controller; the informers may be started afterwards.
func New(o Options) (*Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Workers == 0 {
		o.Workers = 2
	}
	c := &Controller{
		client:       o.Client,
		writer:       o.Writer,
		clock:        o.Clock,
		events:       o.Events,
		sets:         o.Informers.Apps().V1().DaemonSets().Lister(),
		pods:         o.Informers.Core().V1().Pods().Lister(),
		podIndex:     o.Informers.Core().V1().Pods().Informer().GetIndexer(),
		revisions:    o.Informers.Apps().V1().ControllerRevisions().Informer().GetIndexer(),
		budgets:      o.Informers.Policy().V1().PodDisruptionBudgets().Lister(),
		roster:       newRoster(),
		surroundings: newSurroundings(o.Informers),
		watched:      newWatched(),
		pacer:        newPacer(o.Clock),
		records:      map[types.NamespacedName]*memory{},
	}
	if c.events == nil {
		c.broadcaster = record.NewBroadcaster()
		c.events = c.broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component})
	}
	c.loop = loop.New(loop.Options[types.NamespacedName]{
		Name: "daemonsets", Workers: o.Workers, Step: c.Step, Clock: o.Clock,
	})
	if err := c.watch(o.Informers); err != nil {
		return nil, fmt.Errorf("watch daemon sets: %w", err)
	}
	return c, nil
}

// Run keeps DaemonSets until ctx is done, and returns when the last turn ended.
func (c *Controller) Run(ctx context.Context) {
	if c.broadcaster != nil {
		defer c.broadcaster.Shutdown()
		c.broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.client.CoreV1().Events("")})
	}
	if cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		c.loop.Run(ctx)
	}
}

// enqueue asks for a turn for a DaemonSet, as soon as its pace allows.
func (c *Controller) enqueue(key types.NamespacedName) {
	if at, due := c.pacer.ask(key); due {
		c.loop.AddAt(key, at)
	}
}

// Step takes one turn for a DaemonSet: look, decide, act, report. It starts
// nothing and never sleeps. It returns when time alone may change its mind.
func (c *Controller) Step(ctx context.Context, key types.NamespacedName) (time.Time, error) {
	c.pacer.begin(key)
	cost := time.Duration(0)
	defer func() {
		if at, again := c.pacer.end(key, cost); again {
			c.loop.AddAt(key, at)
		}
	}()
	ds, err := c.sets.DaemonSets(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		c.forget(key)
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("get daemon set %s: %w", key, err)
	}
	if ds.DeletionTimestamp != nil {
		return time.Time{}, nil // what it owns is garbage collection's now
	}
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil {
		return time.Time{}, fmt.Errorf("read selector of daemon set %s: %w", key, err)
	}
	if selectsEverything(ds.Spec.Selector) {
		c.events.Event(ds, corev1.EventTypeWarning, "SelectingAll",
			"This daemon set is selecting all pods. A non-empty selector is required.")
		return time.Time{}, nil
	}
	t := &turn{Controller: c, ds: ds, selector: selector, memory: c.memoryOf(key, ds.UID)}
	return t.take(ctx, &cost)
}

func selectsEverything(s *metav1.LabelSelector) bool {
	return s != nil && len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// turn is one turn for one DaemonSet.
type turn struct {
	*Controller
	ds       *appsv1.DaemonSet
	selector labels.Selector
	memory   *memory
}

// take takes the turn. It adds to cost what looking and deciding took, for that
// is what grows with the cluster.
func (t *turn) take(ctx context.Context, cost *time.Duration) (time.Time, error) {
	begun := t.clock.Now()
	t.watched.await(t.key(), true) // before looking, or the event may come between
	if wake, err := t.memory.ledger.behind(ctx, begun); err != nil || !wake.IsZero() {
		return wake, err
	}
	t.watched.await(t.key(), false)
	pods, claimed, err := t.claimPods(ctx)
	if err != nil || claimed {
		return t.lookAgain(), err
	}
	history, done, err := t.keepHistory(ctx, pods)
	if err != nil || !done {
		return t.lookAgain(), err
	}
	t.checkGrace()
	decision, err := t.plan(history.Hash, pods)
	*cost = t.clock.Since(begun)
	if err != nil {
		return time.Time{}, err
	}
	actErr := t.act(ctx, history.Hash, decision.Actions)
	statusErr := t.report(ctx, decision.Status, actErr == nil)
	if actErr != nil {
		return time.Time{}, actErr
	}
	if statusErr != nil {
		return time.Time{}, statusErr
	}
	return decision.WakeAt, t.prune(ctx, history.Prune)
}

func (t *turn) key() types.NamespacedName {
	return types.NamespacedName{Namespace: t.ds.Namespace, Name: t.ds.Name}
}

// lookAgain is when to look again after writes that end a turn; the caches
// usually have them, and ask for a turn, much earlier.
func (t *turn) lookAgain() time.Time {
	t.watched.await(t.key(), true)
	return t.clock.Now().Add(patience)
}
