// Package replicaset keeps as many pods as each ReplicaSet wants: it creates and
// deletes them, adopts and releases them by their labels, and counts them in the
// status.
//
// It is here for what is scheduled and followed beside DaemonSets, and for no
// more: pods that have ended are left to podgc, what a deleted ReplicaSet leaves
// behind to ownergc, and Deployments to nobody.
package replicaset

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
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/loop"
)

// Writer makes the writes that are frequent.
type Writer interface {
	CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	DeletePod(ctx context.Context, name types.NamespacedName, options metav1.DeleteOptions) error
}

// Options are what a Controller needs. All but the clock are required.
type Options struct {
	// Client makes the writes that are rare, and the reads that must not come
	// from a cache.
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Writer    Writer
	Clock     clock.WithTicker // default: the system's
}

// component is what events name as their source.
const component = "replicaset-controller"

// patience is how long to wait for the cache before looking at it again.
const patience = 2 * time.Second

// workers is how many ReplicaSets are dealt with at once.
const workers = 5

// Controller keeps all ReplicaSets of a cluster.
type Controller struct {
	Options
	sets   appslisters.ReplicaSetLister
	pods   cache.Indexer
	synced []cache.InformerSynced
	loop   *loop.Loop[types.NamespacedName]

	broadcaster record.EventBroadcaster
	events      record.EventRecorder

	mu      sync.Mutex
	ledgers map[types.NamespacedName]*ledger
}

// New prepares a controller; the informers may be started afterwards.
func New(options Options) (*Controller, error) {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	broadcaster := record.NewBroadcaster()
	c := &Controller{
		Options:     options,
		sets:        options.Informers.Apps().V1().ReplicaSets().Lister(),
		pods:        options.Informers.Core().V1().Pods().Informer().GetIndexer(),
		broadcaster: broadcaster,
		events:      broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component}),
		ledgers:     map[types.NamespacedName]*ledger{},
	}
	c.loop = loop.New(loop.Options[types.NamespacedName]{Name: "replicasets", Workers: workers, Step: c.Step, Clock: options.Clock})
	if err := c.watch(); err != nil {
		return nil, fmt.Errorf("watch replica sets: %w", err)
	}
	return c, nil
}

// Run keeps ReplicaSets until ctx is done, and returns when the last turn ended.
func (c *Controller) Run(ctx context.Context) {
	defer c.broadcaster.Shutdown()
	c.broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.Client.CoreV1().Events("")})
	if cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		c.loop.Run(ctx)
	}
}

// Step takes one turn for a ReplicaSet: look, decide, act, report.
func (c *Controller) Step(ctx context.Context, key types.NamespacedName) (time.Time, error) {
	rs, err := c.sets.ReplicaSets(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		c.forget(key)
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("get replica set %s: %w", key, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return time.Time{}, fmt.Errorf("read selector of replica set %s: %w", key, err)
	}
	t := &turn{Controller: c, rs: rs, selector: selector, ledger: c.ledgerOf(key, rs.UID)}
	return t.take(ctx)
}

// turn is one turn for one ReplicaSet.
type turn struct {
	*Controller
	rs       *appsv1.ReplicaSet
	selector labels.Selector
	ledger   *ledger
}

func (t *turn) take(ctx context.Context) (time.Time, error) {
	if t.ledger.behind(t.pods) {
		return t.Clock.Now().Add(patience), nil // an event is likely to come earlier
	}
	pods, err := t.claim(ctx)
	if err != nil {
		return time.Time{}, err
	}
	d := plan(input{
		Replicas: int(ptr.Deref(t.rs.Spec.Replicas, 1)),
		MinReady: time.Duration(t.rs.Spec.MinReadySeconds) * time.Second,
		Labels:   t.rs.Spec.Template.Labels,
		Pods:     pods,
		Now:      t.Clock.Now(),
	})
	var failed *failure
	if t.rs.DeletionTimestamp == nil {
		failed = t.act(ctx, d)
	}
	if err := t.report(ctx, d.Counts, failed); err != nil {
		return time.Time{}, err
	}
	if failed != nil {
		return time.Time{}, fmt.Errorf("keep the pods of replica set %s: %w", t.key(), failed.err)
	}
	return d.WakeAt, nil
}

func (t *turn) key() types.NamespacedName { return keyOf(t.rs) }

func keyOf(object metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}

// ledgerOf returns the ledger of a ReplicaSet. One of the same name but with
// another UID is another ReplicaSet.
func (c *Controller) ledgerOf(key types.NamespacedName, uid types.UID) *ledger {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.ledgers[key]
	if l == nil || l.owner != uid {
		l = newLedger(uid)
		c.ledgers[key] = l
	}
	return l
}

func (c *Controller) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ledgers, key)
}
