// Package quota keeps the status of every ResourceQuota true: the limits in
// force, and what the objects of the namespace use of them.
//
// Admission books what comes in; this controller adopts changed limits, gives
// back what has left, and sums everything up anew from time to time.
package quota

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/loop"
	"github.com/garrison-project/garrison/internal/quota"
)

// Options are what a Controller needs. All but the clock are required.
type Options struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Clock     clock.WithTicker // default: the system's
}

const (
	workers = 2
	// gatherPause lets many objects that leave together cause one sum.
	gatherPause = 200 * time.Millisecond
	// sumPeriod is how often a quota is summed up without a reason: a request
	// that failed after it was booked leaves nothing behind to see.
	sumPeriod = 5 * time.Minute
)

// Controller keeps the status of quotas.
type Controller struct {
	client     kubernetes.Interface
	clock      clock.WithTicker
	quotas     corelisters.ResourceQuotaLister
	evaluators quotav1.Registry
	loop       *loop.Loop[types.NamespacedName]
	synced     []cache.InformerSynced
}

// New prepares a controller; the informers may be started afterwards.
func New(o Options) (*Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	c := &Controller{
		client: o.Client,
		clock:  o.Clock,
		quotas: o.Informers.Core().V1().ResourceQuotas().Lister(),
	}
	c.loop = loop.New(loop.Options[types.NamespacedName]{Name: "quota", Workers: workers, Step: c.Step, Clock: o.Clock})
	listers := map[schema.GroupVersionResource]cache.GenericLister{}
	for _, resource := range quota.Resources() {
		informer, err := o.Informers.ForResource(resource)
		if err != nil {
			return nil, fmt.Errorf("watch %s for quotas: %w", resource.Resource, err)
		}
		listers[resource] = informer.Lister()
		if err := c.watch(informer.Informer(), c.departures()); err != nil {
			return nil, fmt.Errorf("watch %s for quotas: %w", resource.Resource, err)
		}
	}
	c.evaluators = quota.NewRegistry(func(r schema.GroupVersionResource) generic.ListFuncByNamespace {
		return func(namespace string) ([]runtime.Object, error) {
			return listers[r].ByNamespace(namespace).List(labels.Everything())
		}
	}, o.Clock)
	if err := c.watch(o.Informers.Core().V1().ResourceQuotas().Informer(), c.changes()); err != nil {
		return nil, fmt.Errorf("watch quotas: %w", err)
	}
	return c, nil
}

func (c *Controller) watch(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) error {
	registration, err := informer.AddEventHandler(handler)
	if err != nil {
		return err
	}
	c.synced = append(c.synced, registration.HasSynced)
	return nil
}

// changes asks for a sum when the limits are new.
func (c *Controller) changes() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if q, ok := obj.(*corev1.ResourceQuota); ok {
				c.loop.Add(keyOf(q))
			}
		},
		UpdateFunc: func(old, obj any) {
			before, okBefore := old.(*corev1.ResourceQuota)
			q, ok := obj.(*corev1.ResourceQuota)
			if ok && okBefore && !equality.Semantic.DeepEqual(before.Spec, q.Spec) {
				c.loop.Add(keyOf(q))
			}
		},
	}
}

// departures asks for a sum of the namespace's quotas when an object stops
// costing what it did.
func (c *Controller) departures() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(old, obj any) {
			before, okBefore := old.(*corev1.Pod)
			pod, ok := obj.(*corev1.Pod)
			if ok && okBefore && quota.Lightens(before, pod) {
				c.wake(pod.Namespace)
			}
		},
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			if object, err := meta.Accessor(obj); err == nil {
				c.wake(object.GetNamespace())
			}
		},
	}
}

func (c *Controller) wake(namespace string) {
	all, err := c.quotas.ResourceQuotas(namespace).List(labels.Everything())
	if err != nil {
		return // a lister over an index that exists cannot fail
	}
	for _, q := range all {
		c.loop.AddAt(keyOf(q), c.clock.Now().Add(gatherPause))
	}
}

func keyOf(q *corev1.ResourceQuota) types.NamespacedName {
	return types.NamespacedName{Namespace: q.Namespace, Name: q.Name}
}

// Run keeps quotas until ctx is done.
func (c *Controller) Run(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		return
	}
	c.loop.Run(ctx)
}

// Step sums up one quota and writes its status if that has changed.
func (c *Controller) Step(ctx context.Context, key types.NamespacedName) (time.Time, error) {
	q, err := c.quotas.ResourceQuotas(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("get quota %s: %w", key, err)
	}
	used, err := quotav1.CalculateUsage(q.Namespace, q.Spec.Scopes, q.Spec.Hard, c.evaluators, q.Spec.ScopeSelector)
	if err != nil {
		return time.Time{}, fmt.Errorf("sum up quota %s: %w", key, err)
	}
	next := c.clock.Now().Add(sumPeriod)
	status := corev1.ResourceQuotaStatus{Hard: q.Spec.Hard, Used: used}
	if q.Status.Used != nil && equality.Semantic.DeepEqual(q.Status.Hard, status.Hard) && quotav1.Equals(q.Status.Used, used) {
		return next, nil
	}
	q = q.DeepCopy()
	q.Status = *status.DeepCopy()
	if _, err := c.client.CoreV1().ResourceQuotas(q.Namespace).UpdateStatus(ctx, q, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return time.Time{}, fmt.Errorf("write status of quota %s: %w", key, err)
	}
	return next, nil
}
