package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	quota "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/utils/clock"
)

// countPods counts all pods that are stored; the resource "pods" counts those
// that have not ended.
const countPods corev1.ResourceName = "count/pods"

// podEvaluator measures pods.
type podEvaluator struct {
	list generic.ListFuncByNamespace
	now  clock.PassiveClock
}

var _ quota.Evaluator = podEvaluator{}

func (podEvaluator) GroupResource() schema.GroupResource { return podResource.GroupResource() }

// Handles tells whether a request can change what a quota has to bear.
func (podEvaluator) Handles(a admission.Attributes) bool {
	switch a.GetSubresource() {
	case "":
		return a.GetOperation() == admission.Create || changesDeadline(a)
	case "resize":
		return a.GetOperation() == admission.Update
	default:
		return false
	}
}

// changesDeadline tells whether an update moves a pod between the scopes
// Terminating and NotTerminating.
func changesDeadline(a admission.Attributes) bool {
	pod, ok := a.GetObject().(*corev1.Pod)
	old, okOld := a.GetOldObject().(*corev1.Pod)
	return ok && okOld && hasDeadline(pod) != hasDeadline(old)
}

// Constraints asks every container for the cpu and memory figures that a quota
// limits. No other resource is asked for: that these are is history.
func (podEvaluator) Constraints(required []corev1.ResourceName, item runtime.Object) error {
	pod, err := asPod(item)
	if err != nil || resourcehelper.IsPodLevelResourcesSet(pod) {
		return err
	}
	missing := map[corev1.ResourceName][]string{}
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		has := usageOf(c.Resources.Requests, c.Resources.Limits)
		for _, name := range required {
			if _, found := has[name]; !found && slices.Contains(mustBeGiven, name) {
				missing[name] = append(missing[name], c.Name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		slices.Sort(missing[name])
		parts = append(parts, fmt.Sprintf("%s for: %s", name, strings.Join(slices.Compact(missing[name]), ",")))
	}
	return fmt.Errorf("must specify %s", strings.Join(parts, "; "))
}

var mustBeGiven = []corev1.ResourceName{
	corev1.ResourceCPU, corev1.ResourceMemory,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
}

func (e podEvaluator) Matches(q *corev1.ResourceQuota, item runtime.Object) (bool, error) {
	return generic.Matches(q, item, e.MatchingResources, inScope)
}

func (podEvaluator) MatchingScopes(item runtime.Object, selectors []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	var matched []corev1.ScopedResourceSelectorRequirement
	for _, s := range selectors {
		match, err := inScope(s, item)
		if err != nil {
			return nil, fmt.Errorf("match scope %s: %w", s.ScopeName, err)
		}
		if match {
			matched = append(matched, s)
		}
	}
	return matched, nil
}

func (podEvaluator) UncoveredQuotaScopes(limited, matched []corev1.ScopedResourceSelectorRequirement) ([]corev1.ScopedResourceSelectorRequirement, error) {
	var uncovered []corev1.ScopedResourceSelectorRequirement
	for _, l := range limited {
		if !slices.ContainsFunc(matched, func(m corev1.ScopedResourceSelectorRequirement) bool { return m.ScopeName == l.ScopeName }) {
			uncovered = append(uncovered, l)
		}
	}
	return uncovered, nil
}

// MatchingResources returns those of the names that pods are measured by.
func (podEvaluator) MatchingResources(names []corev1.ResourceName) []corev1.ResourceName {
	var matched []corev1.ResourceName
	for _, name := range names {
		if slices.Contains(podResources, name) || isHugePages(name) || isExtendedRequest(name) {
			matched = append(matched, name)
		}
	}
	return matched
}

var podResources = []corev1.ResourceName{
	countPods, corev1.ResourcePods,
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsEphemeralStorage,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
}

func (e podEvaluator) Usage(item runtime.Object) (corev1.ResourceList, error) {
	pod, err := asPod(item)
	if err != nil {
		return nil, err
	}
	return podUsage(pod, e.now.Now()), nil
}

func (e podEvaluator) UsageStats(options quota.UsageStatsOptions) (quota.UsageStats, error) {
	return generic.CalculateUsageStats(options, e.list, inScope, e.Usage)
}

// podUsage is what a pod costs. One that has ended, or that should be gone by
// now, costs no more than its place in the store.
func podUsage(pod *corev1.Pod, now time.Time) corev1.ResourceList {
	usage := corev1.ResourceList{countPods: *resource.NewQuantity(1, resource.DecimalSI)}
	if Ended(pod) || overdue(pod, now) {
		return usage
	}
	options := resourcehelper.PodResourcesOptions{UseStatusResources: true}
	maps.Copy(usage, usageOf(resourcehelper.PodRequests(pod, options), resourcehelper.PodLimits(pod, options)))
	usage[corev1.ResourcePods] = *resource.NewQuantity(1, resource.DecimalSI)
	return usage
}

// Ended tells whether all containers of a pod have stopped for good.
func Ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

// Lightens tells whether an update of a pod can take load off a quota: the pod
// has ended, its spec changed, or it moved to the scope of another quota.
func Lightens(old, pod *corev1.Pod) bool {
	return Ended(pod) && !Ended(old) || hasDeadline(old) != hasDeadline(pod) || old.Generation != pod.Generation
}

// overdue tells whether a pod is being deleted and has outstayed its grace
// period, as on a node that was lost.
func overdue(pod *corev1.Pod, now time.Time) bool {
	if pod.DeletionTimestamp == nil || pod.DeletionGracePeriodSeconds == nil {
		return false
	}
	grace := time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	return now.After(pod.DeletionTimestamp.Add(grace))
}

// usageOf names requests and limits as a quota does: cpu and requests.cpu mean
// the same.
func usageOf(requests, limits corev1.ResourceList) corev1.ResourceList {
	usage := corev1.ResourceList{}
	for name, quantity := range requests {
		if isCompute(name) || isHugePages(name) {
			usage[name] = quantity
			usage[requestsPrefix+name] = quantity
		} else if isExtended(name) {
			usage[requestsPrefix+name] = quantity
		}
	}
	for name, quantity := range limits {
		if isCompute(name) {
			usage[limitsPrefix+name] = quantity
		}
	}
	return usage
}

const (
	requestsPrefix corev1.ResourceName = corev1.DefaultResourceRequestsPrefix
	limitsPrefix   corev1.ResourceName = "limits."
)

func isCompute(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage
}

func isHugePages(name corev1.ResourceName) bool {
	plain := strings.TrimPrefix(string(name), string(requestsPrefix))
	return strings.HasPrefix(plain, corev1.ResourceHugePagesPrefix)
}

// isExtended tells whether a resource belongs to a vendor, as devices do.
func isExtended(name corev1.ResourceName) bool {
	return strings.Contains(string(name), "/") && !strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

func isExtendedRequest(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), string(requestsPrefix)) && isExtended(name)
}

func asPod(item runtime.Object) (*corev1.Pod, error) {
	pod, ok := item.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("expected a Pod but got %T", item)
	}
	return pod, nil
}
