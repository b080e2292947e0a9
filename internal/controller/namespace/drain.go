package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/util/workqueue"
)

// podWriters is how many pods are deleted at once.
const podWriters = 32

// The pause before the next look at what is left. Pods that end are events,
// and bring it forward; the end of other objects is not noticed.
const (
	podPause   = 15 * time.Second
	otherPause = 2 * time.Second
)

var podResource = content{gvr: corev1.SchemeGroupVersion.WithResource("pods"), collection: true}

// content is one kind of objects that a namespace may hold.
type content struct {
	gvr        schema.GroupVersionResource
	collection bool // all of them can be deleted with one request
}

// drain takes a namespace one round closer to its end.
func (c *Controller) drain(ctx context.Context, ns *corev1.Namespace) (time.Time, error) {
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return time.Time{}, nil // others hold it now
	}
	left := newSurvey()
	kinds, err := c.contents()
	if err != nil {
		left.Discovery = discoveryFailure(err)
	}
	// A pod may need its ConfigMaps, Secrets and the rest to end well.
	c.clear(ctx, ns, podResource, left)
	pause := podPause
	if left.Remaining[podResource.gvr.GroupResource()] == 0 && len(left.Failures) == 0 {
		pause = otherPause
		for _, kind := range kinds {
			c.clear(ctx, ns, kind, left)
		}
	}
	if left.empty() {
		return time.Time{}, c.finalize(ctx, ns)
	}
	if err := c.report(ctx, ns, left); err != nil {
		return time.Time{}, err
	}
	if left.Discovery != "" || len(left.Failures) > 0 {
		return time.Time{}, fmt.Errorf("empty namespace %s: %s", ns.Name, strings.Join(append(left.Failures, left.Discovery), "; "))
	}
	return c.Clock.Now().Add(pause), nil
}

// contents asks the API what a namespace may hold besides pods, sorted.
func (c *Controller) contents() ([]content, error) {
	// With an error come the kinds that could be discovered.
	served, failure := discovery.ServerPreferredNamespacedResources(c.Client.Discovery())
	deletable := discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"delete", "list"}}, served)
	var found []content
	for _, list := range deletable {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			failure = errors.Join(failure, err)
			continue
		}
		for _, resource := range list.APIResources {
			gvr := gv.WithResource(resource.Name)
			if gvr != podResource.gvr {
				found = append(found, content{gvr: gvr, collection: slices.Contains(resource.Verbs, "deletecollection")})
			}
		}
	}
	slices.SortFunc(found, func(a, b content) int { return strings.Compare(a.gvr.String(), b.gvr.String()) })
	return found, failure
}

func discoveryFailure(err error) string {
	var groups *discovery.ErrGroupDiscoveryFailed
	if errors.As(err, &groups) {
		return fmt.Sprintf("Discovery failed for some groups, %d failing: %v", len(groups.Groups), err)
	}
	return err.Error()
}

// clear deletes all objects of one kind and counts those that stay.
func (c *Controller) clear(ctx context.Context, ns *corev1.Namespace, kind content, left *survey) {
	items, err := c.list(ctx, ns, kind)
	if err == nil && slices.ContainsFunc(items, staying) {
		if err = c.delete(ctx, ns, kind, items); err == nil {
			items, err = c.list(ctx, ns, kind)
		}
	}
	if err != nil {
		left.Failures = append(left.Failures, fmt.Sprintf("delete %s: %v", kind.gvr.GroupResource(), err))
		return
	}
	if len(items) > 0 {
		left.Remaining[kind.gvr.GroupResource()] = len(items)
	}
	for _, item := range items {
		for _, finalizer := range item.Finalizers {
			left.Finalizers[finalizer]++
		}
	}
}

func staying(item metav1.PartialObjectMetadata) bool { return item.DeletionTimestamp == nil }

// list asks the API itself: a cache may not have seen the last of them.
func (c *Controller) list(ctx context.Context, ns *corev1.Namespace, kind content) ([]metav1.PartialObjectMetadata, error) {
	all, err := c.Metadata.Resource(kind.gvr).Namespace(ns.Name).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return all.Items, nil
}

func (c *Controller) delete(ctx context.Context, ns *corev1.Namespace, kind content, items []metav1.PartialObjectMetadata) error {
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	client := c.Metadata.Resource(kind.gvr).Namespace(ns.Name)
	if kind != podResource && kind.collection {
		err := client.DeleteCollection(ctx, options, metav1.ListOptions{})
		if !apierrors.IsMethodNotSupported(err) {
			return err
		}
	}
	var mu sync.Mutex
	var failures []error
	workqueue.ParallelizeUntil(ctx, podWriters, len(items), func(i int) {
		var err error
		name := types.NamespacedName{Namespace: ns.Name, Name: items[i].Name}
		switch {
		case !staying(items[i]):
		case kind == podResource:
			err = c.Writer.DeletePod(ctx, name, options)
		default:
			err = client.Delete(ctx, name.Name, options)
		}
		if err != nil && !apierrors.IsNotFound(err) {
			mu.Lock()
			defer mu.Unlock()
			failures = append(failures, err)
		}
	})
	return errors.Join(failures...)
}

// report writes what is left into the namespace's status.
func (c *Controller) report(ctx context.Context, ns *corev1.Namespace, left *survey) error {
	updated := ns.DeepCopy()
	updated.Status.Phase = corev1.NamespaceTerminating
	updated.Status.Conditions = left.conditions(ns.Status.Conditions, metav1.NewTime(c.Clock.Now()))
	if equality.Semantic.DeepEqual(updated.Status, ns.Status) {
		return nil
	}
	_, err := c.Client.CoreV1().Namespaces().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("report on namespace %s: %w", ns.Name, err)
	}
	return nil
}

// finalize releases an empty namespace, which ends it unless others hold it.
func (c *Controller) finalize(ctx context.Context, ns *corev1.Namespace) error {
	released := ns.DeepCopy()
	released.Spec.Finalizers = slices.DeleteFunc(released.Spec.Finalizers, func(f corev1.FinalizerName) bool {
		return f == corev1.FinalizerKubernetes
	})
	_, err := c.Client.CoreV1().Namespaces().Finalize(ctx, released, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("finalize namespace %s: %w", ns.Name, err)
	}
	return nil
}
