package kinds

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/client-go/util/retry"
	pdbhelper "k8s.io/component-helpers/apps/poddisruptionbudget"
)

// maxDisruptedPods bounds the evictions a budget has granted and its
// controller has not yet seen.
const maxDisruptedPods = 2000

// evictionBackoff spaces the tries of an eviction that meets other writers.
var evictionBackoff = wait.Backoff{Steps: 20, Duration: 500 * time.Millisecond, Factor: 1, Jitter: 0.1}

var budgetResource = policyV1.WithResource("poddisruptionbudget").GroupResource()

// evictionREST serves pods/eviction: a delete that asks the pod's disruption
// budget first.
type evictionREST struct {
	pods         *genericregistry.Store
	podStatus    *genericregistry.Store
	budgets      *genericregistry.Store
	budgetStatus *genericregistry.Store
}

var (
	_ rest.NamedCreater             = &evictionREST{}
	_ rest.GroupVersionKindProvider = &evictionREST{}
	_ rest.GroupVersionAcceptor     = &evictionREST{}
)

func (r *evictionREST) New() runtime.Object { return &policyv1.Eviction{} }
func (r *evictionREST) Destroy()            {}

// GroupVersionKind tells discovery the kind, which drain looks for.
func (r *evictionREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return policyV1.WithKind("Eviction")
}

func (r *evictionREST) AcceptsGroupVersion(gv schema.GroupVersion) bool { return gv == policyV1 }

// Create evicts the named pod, or says that a budget forbids it for now.
func (r *evictionREST) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	eviction, ok := obj.(*policyv1.Eviction)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Eviction object: %T", obj))
	}
	if name != eviction.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	options, err := evictionOptions(eviction, o)
	if err != nil {
		return nil, err
	}
	if validate != nil {
		if err := validate(ctx, eviction.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := r.evict(ctx, name, options); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// evictionOptions returns how to delete the pod. Dry run may be asked for in
// the eviction or in the request.
func evictionOptions(e *policyv1.Eviction, o *metav1.CreateOptions) (*metav1.DeleteOptions, error) {
	if e.DeleteOptions == nil {
		return &metav1.DeleteOptions{DryRun: o.DryRun}, nil
	}
	options := e.DeleteOptions.DeepCopy()
	switch {
	case len(options.DryRun) == 0:
		options.DryRun = o.DryRun
	case len(o.DryRun) > 0 && !slices.Equal(o.DryRun, options.DryRun):
		return nil, apierrors.NewBadRequest(fmt.Sprintf("Non-matching dry-run options in request and content: %v and %v", o.DryRun, options.DryRun))
	}
	return options, nil
}

// evict deletes the pod unless its budget forbids it.
func (r *evictionREST) evict(ctx context.Context, name string, options *metav1.DeleteOptions) error {
	pod, err := r.withoutBudget(ctx, name, options)
	if err != nil || pod == nil {
		return err
	}
	budget, err := r.budgetOf(ctx, pod)
	switch {
	case err != nil:
		return err
	case budget == nil:
		return r.delete(ctx, name, options)
	case unhealthyMayGo(pod, budget):
		return r.deleteUnhealthy(ctx, pod, budget.Name, options)
	}
	if err := r.spend(ctx, budget, name, dryrun.IsDryRun(options.DryRun)); err != nil {
		return err
	}
	return r.delete(ctx, name, options)
}

// withoutBudget deletes the pod if no budget protects one in its state, and
// otherwise returns it. A pod that has not ended is deleted only as it was
// seen: it could become healthy, and protected, at any time.
func (r *evictionREST) withoutBudget(ctx context.Context, name string, options *metav1.DeleteOptions) (*corev1.Pod, error) {
	var protected *corev1.Pod
	retriable := func(err error) bool { return apierrors.IsConflict(err) && !pinned(options) }
	err := retry.OnError(evictionBackoff, retriable, func() error {
		obj, err := r.pods.Get(ctx, name, &metav1.GetOptions{})
		if err != nil {
			return err
		}
		pod := obj.(*corev1.Pod)
		if !ended(pod) && pod.Status.Phase != corev1.PodPending {
			protected = pod
			return nil
		}
		if ended(pod) || pinned(options) {
			return r.delete(ctx, name, options)
		}
		return r.delete(ctx, name, pin(options, pod.ResourceVersion))
	})
	return protected, err
}

// ended reports whether the pod no longer counts for any budget.
func ended(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// unhealthyMayGo reports whether the pod can be evicted without spending from
// the budget, because it does not count as healthy anyway.
func unhealthyMayGo(p *corev1.Pod, b *policyv1.PodDisruptionBudget) bool {
	if podReady(p) {
		return false
	}
	if policy := b.Spec.UnhealthyPodEvictionPolicy; policy != nil && *policy == policyv1.AlwaysAllow {
		return true
	}
	return b.Status.DesiredHealthy > 0 && b.Status.CurrentHealthy >= b.Status.DesiredHealthy
}

func podReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// deleteUnhealthy deletes the pod if it has not changed, say to ready, since
// it was judged; a client that did not ask for a certain version is told to
// try again.
func (r *evictionREST) deleteUnhealthy(ctx context.Context, pod *corev1.Pod, budget string, options *metav1.DeleteOptions) error {
	err := r.delete(ctx, pod.Name, pin(options, pod.ResourceVersion))
	if apierrors.IsConflict(err) && !pinned(options) {
		return tooManyRequests(10, fmt.Sprintf("The disruption budget %s is still being processed by the server.", budget))
	}
	return err
}

func pinned(o *metav1.DeleteOptions) bool {
	return o.Preconditions != nil && o.Preconditions.ResourceVersion != nil
}

// pin returns options that delete only this version of the pod.
func pin(o *metav1.DeleteOptions, resourceVersion string) *metav1.DeleteOptions {
	o = o.DeepCopy()
	if o.Preconditions == nil {
		o.Preconditions = &metav1.Preconditions{}
	}
	o.Preconditions.ResourceVersion = &resourceVersion
	return o
}

// delete marks the pod as disrupted and deletes it.
func (r *evictionREST) delete(ctx context.Context, name string, options *metav1.DeleteOptions) error {
	if !dryrun.IsDryRun(options.DryRun) {
		version, err := r.markDisrupted(ctx, name, options.Preconditions)
		if err != nil {
			return err
		}
		if pinned(options) {
			options = pin(options, version)
		}
	}
	_, _, err := r.pods.Delete(ctx, name, rest.ValidateAllObjectFunc, options)
	return err
}

// markDisrupted adds the DisruptionTarget condition and returns the pod's new
// resourceVersion.
func (r *evictionREST) markDisrupted(ctx context.Context, name string, p *metav1.Preconditions) (string, error) {
	mark := func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		pod := old.(*corev1.Pod).DeepCopy()
		if err := meets(pod, p); err != nil {
			return nil, apierrors.NewConflict(podsResource, name, err)
		}
		setPodCondition(pod, corev1.PodCondition{
			Type:               corev1.DisruptionTarget,
			ObservedGeneration: pod.Generation,
			Status:             corev1.ConditionTrue,
			Reason:             "EvictionByEvictionAPI",
			Message:            "Eviction API: evicting",
		}, metav1.Now())
		return pod, nil
	}
	obj, _, err := r.podStatus.Update(ctx, name, rest.DefaultUpdatedObjectInfo(nil, mark),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return "", err
	}
	return obj.(*corev1.Pod).ResourceVersion, nil
}

// budgetOf returns the budget that covers the pod, or nil. Two are an error.
func (r *evictionREST) budgetOf(ctx context.Context, pod *corev1.Pod) (*policyv1.PodDisruptionBudget, error) {
	obj, err := r.budgets.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	var covering []*policyv1.PodDisruptionBudget
	items := obj.(*policyv1.PodDisruptionBudgetList).Items
	for i := range items {
		if items[i].Namespace == pod.Namespace && covers(&items[i], pod) {
			covering = append(covering, &items[i])
		}
	}
	switch len(covering) {
	case 0:
		return nil, nil
	case 1:
		return covering[0], nil
	}
	return nil, &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusInternalServerError,
		Message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
	}}
}

// covers reports whether the budget selects the pod. One without a selector,
// or with an empty one, has no pods.
func covers(b *policyv1.PodDisruptionBudget, pod *corev1.Pod) bool {
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	return err == nil && !selector.Empty() && selector.Matches(labels.Set(pod.Labels))
}

// spend takes one disruption from the budget for the named pod.
func (r *evictionREST) spend(ctx context.Context, b *policyv1.PodDisruptionBudget, pod string, dryRun bool) error {
	// The name of the pod in the request would not be the budget's.
	ctx = genericapirequest.WithNamespace(ctx, b.Namespace)
	err := retry.OnError(evictionBackoff, apierrors.IsConflict, func() error {
		take := func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
			budget := old.(*policyv1.PodDisruptionBudget).DeepCopy()
			return budget, take(budget, pod, metav1.Now())
		}
		var options metav1.UpdateOptions
		if dryRun {
			options.DryRun = []string{metav1.DryRunAll}
		}
		_, _, err := r.budgetStatus.Update(ctx, b.Name, rest.DefaultUpdatedObjectInfo(nil, take),
			rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &options)
		return err
	})
	if apierrors.IsConflict(err) {
		return apierrors.NewTimeoutError(fmt.Sprintf("couldn't update PodDisruptionBudget %q due to conflicts", b.Name), 10)
	}
	return err
}

// take records in the budget that the named pod is about to go, or says why it
// may not.
func take(b *policyv1.PodDisruptionBudget, pod string, now metav1.Time) error {
	s := &b.Status
	switch {
	case s.ObservedGeneration < b.Generation:
		return tooManyRequests(10, fmt.Sprintf("The disruption budget %s is still being processed by the server.", b.Name))
	case s.DisruptionsAllowed < 0:
		return apierrors.NewForbidden(budgetResource, b.Name, fmt.Errorf("pdb disruptions allowed is negative"))
	case len(s.DisruptedPods) > maxDisruptedPods:
		return apierrors.NewForbidden(budgetResource, b.Name, fmt.Errorf("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case s.DisruptionsAllowed == 0:
		return tooManyRequests(0, insufficient(b))
	}
	s.DisruptionsAllowed--
	if s.DisruptionsAllowed == 0 {
		pdbhelper.UpdateDisruptionAllowedCondition(b)
	}
	if s.DisruptedPods == nil {
		s.DisruptedPods = map[string]metav1.Time{}
	}
	s.DisruptedPods[pod] = now
	return nil
}

// insufficient says why a budget that is used up allows no disruption.
func insufficient(b *policyv1.PodDisruptionBudget) string {
	failed := slices.IndexFunc(b.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == policyv1.DisruptionAllowedCondition && c.Status == metav1.ConditionFalse && c.Reason == policyv1.SyncFailedReason
	})
	if failed >= 0 && b.Status.Conditions[failed].Message != "" {
		return fmt.Sprintf("The disruption budget %s does not allow evicting pods currently because it failed sync: %v", b.Name, b.Status.Conditions[failed].Message)
	}
	return fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", b.Name, b.Status.DesiredHealthy, b.Status.CurrentHealthy)
}

func tooManyRequests(retryAfterSeconds int, cause string) error {
	err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", retryAfterSeconds)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: cause})
	return err
}
