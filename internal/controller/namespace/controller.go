// Package namespace gives every namespace the ServiceAccount `default` and the
// ConfigMap `kube-root-ca.crt`, and empties a namespace that is being deleted:
// pods first, then everything else, then the namespace itself is released.
//
// That nothing new appears in a namespace on its way out is left to admission;
// pods end through their agents, or podgc.
package namespace

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/loop"
)

// Writer deletes pods.
type Writer interface {
	DeletePod(ctx context.Context, name types.NamespacedName, options metav1.DeleteOptions) error
}

// Options are what a Controller needs. All but the clock are required.
type Options struct {
	Client    kubernetes.Interface
	Metadata  metadata.Interface // lists and deletes of all kinds
	Informers informers.SharedInformerFactory
	Writer    Writer
	RootCA    []byte           // PEM bundle that goes into kube-root-ca.crt
	Clock     clock.WithTicker // default: the system's
}

const (
	// workers is how many namespaces are dealt with at once.
	workers = 4
	// gatherPause gathers the ends of many pods into one look at what is left.
	gatherPause = 100 * time.Millisecond
)

// Controller looks after namespaces.
type Controller struct {
	Options
	namespaces corelisters.NamespaceLister
	accounts   corelisters.ServiceAccountLister
	configMaps corelisters.ConfigMapLister
	loop       *loop.Loop[string]
	synced     []cache.InformerSynced
}

// New prepares a controller; the informers may be started afterwards.
func New(options Options) (*Controller, error) {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	core := options.Informers.Core().V1()
	c := &Controller{
		Options:    options,
		namespaces: core.Namespaces().Lister(),
		accounts:   core.ServiceAccounts().Lister(),
		configMaps: core.ConfigMaps().Lister(),
	}
	c.loop = loop.New(loop.Options[string]{Name: "namespaces", Workers: workers, Step: c.Step, Clock: options.Clock, MaxPause: time.Minute})
	for _, source := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandlerFuncs
	}{
		{core.Namespaces().Informer(), onChange(func(o metav1.Object) { c.loop.Add(o.GetName()) })},
		{core.ServiceAccounts().Informer(), onChange(c.defaultChanged(accountName))},
		{core.ConfigMaps().Informer(), onChange(c.defaultChanged(configMapName))},
		{core.Pods().Informer(), cache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) { visit(obj, c.podGone) }}},
	} {
		registration, err := source.informer.AddEventHandler(source.handler)
		if err != nil {
			return nil, fmt.Errorf("watch namespaces: %w", err)
		}
		c.synced = append(c.synced, registration.HasSynced)
	}
	return c, nil
}

// Run looks after namespaces until ctx is done.
func (c *Controller) Run(ctx context.Context) {
	if cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		c.loop.Run(ctx)
	}
}

// onChange calls f with whatever was added, changed or deleted.
func onChange(f func(metav1.Object)) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { visit(obj, f) },
		UpdateFunc: func(_, obj any) { visit(obj, f) },
		DeleteFunc: func(obj any) { visit(obj, f) },
	}
}

func visit(obj any, f func(metav1.Object)) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if object, ok := obj.(metav1.Object); ok {
		f(object)
	}
}

func (c *Controller) defaultChanged(name string) func(metav1.Object) {
	return func(o metav1.Object) {
		if o.GetName() == name {
			c.loop.Add(o.GetNamespace())
		}
	}
}

// podGone has a namespace looked at that may have waited for this pod.
func (c *Controller) podGone(pod metav1.Object) {
	if ns, err := c.namespaces.Get(pod.GetNamespace()); err == nil && ns.DeletionTimestamp != nil {
		c.loop.AddAt(ns.Name, c.Clock.Now().Add(gatherPause))
	}
}

// Step looks after one namespace once.
func (c *Controller) Step(ctx context.Context, name string) (time.Time, error) {
	ns, err := c.namespaces.Get(name)
	if apierrors.IsNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	if ns.DeletionTimestamp != nil {
		return c.drain(ctx, ns)
	}
	return time.Time{}, c.furnish(ctx, ns)
}

// furnish puts the default objects in place.
func (c *Controller) furnish(ctx context.Context, ns *corev1.Namespace) error {
	for _, ensure := range []func(context.Context, string) error{c.ensureAccount, c.ensureConfigMap} {
		err := ensure(ctx, ns.Name)
		switch {
		case err == nil, apierrors.IsAlreadyExists(err):
		case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
			return nil // the namespace goes, or is gone
		default:
			return fmt.Errorf("furnish namespace %s: %w", ns.Name, err)
		}
	}
	return nil
}
