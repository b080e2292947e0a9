package admission

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	resourcehelper "k8s.io/component-helpers/resource"
)

// limitRangerAnnotation tells on a pod what it got from the limit range.
const limitRangerAnnotation = "kubernetes.io/limit-ranger"

// applyLimitRange gives the containers of a pod the requests and limits that
// they lack and the limit range has defaults for.
func applyLimitRange(r *corev1.LimitRange, pod *corev1.Pod) {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	for _, item := range r.Spec.Limits {
		if item.Type == corev1.LimitTypeContainer {
			maps.Copy(requests, item.DefaultRequest)
			maps.Copy(limits, item.Default)
		}
	}
	var done []string
	apply := func(what string, c *corev1.Container) {
		if set := fill(&c.Resources.Requests, requests); set != "" {
			done = append(done, fmt.Sprintf("%s request for %s %s", set, what, c.Name))
		}
		if set := fill(&c.Resources.Limits, limits); set != "" {
			done = append(done, fmt.Sprintf("%s limit for %s %s", set, what, c.Name))
		}
	}
	for i := range pod.Spec.Containers {
		apply("container", &pod.Spec.Containers[i])
	}
	for i := range pod.Spec.InitContainers {
		apply("init container", &pod.Spec.InitContainers[i])
	}
	if len(done) == 0 {
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[limitRangerAnnotation] = "LimitRanger plugin set: " + strings.Join(done, "; ")
}

// fill adds to a list what it lacks, and names that.
func fill(list *corev1.ResourceList, defaults corev1.ResourceList) string {
	var set []string
	for _, name := range sortedNames(defaults) {
		if _, found := (*list)[name]; found {
			continue
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = defaults[name].DeepCopy()
		set = append(set, string(name))
	}
	return strings.Join(set, ", ")
}

// checkLimitRange names every bound that a pod breaks.
func checkLimitRange(r *corev1.LimitRange, pod *corev1.Pod) error {
	var broken []error
	for _, item := range r.Spec.Limits {
		switch item.Type {
		case corev1.LimitTypeContainer:
			for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
				broken = append(broken, demand{item, c.Resources.Requests, c.Resources.Limits}.check()...)
			}
		case corev1.LimitTypePod:
			own := resourcehelper.PodResourcesOptions{ExcludeOverhead: true}
			broken = append(broken, demand{
				item, resourcehelper.PodRequests(pod, own), resourcehelper.PodLimits(pod, own),
			}.check()...)
		}
	}
	return utilerrors.NewAggregate(broken)
}

// demand is what one container, or one pod, asks for, against the bounds for
// its kind.
type demand struct {
	bounds           corev1.LimitRangeItem
	requests, limits corev1.ResourceList
}

func (d demand) check() []error {
	var broken []error
	note := func(err error) {
		if err != nil {
			broken = append(broken, err)
		}
	}
	for _, name := range sortedNames(d.bounds.Min) {
		note(d.atLeast(name, d.bounds.Min[name]))
	}
	for _, name := range sortedNames(d.bounds.Max) {
		note(d.atMost(name, d.bounds.Max[name]))
	}
	for _, name := range sortedNames(d.bounds.MaxLimitRequestRatio) {
		note(d.withinRatio(name, d.bounds.MaxLimitRequestRatio[name]))
	}
	return broken
}

func (d demand) atLeast(name corev1.ResourceName, bound resource.Quantity) error {
	request, asked := d.requests[name]
	limit, limited := d.limits[name]
	text := fmt.Sprintf("minimum %s usage per %s is %s", name, d.bounds.Type, bound.String())
	switch {
	case !asked:
		return fmt.Errorf("%s.  No request is specified", text)
	case request.Cmp(bound) < 0:
		return fmt.Errorf("%s, but request is %s", text, request.String())
	case limited && limit.Cmp(bound) < 0:
		return fmt.Errorf("%s, but limit is %s", text, limit.String())
	}
	return nil
}

func (d demand) atMost(name corev1.ResourceName, bound resource.Quantity) error {
	request, asked := d.requests[name]
	limit, limited := d.limits[name]
	text := fmt.Sprintf("maximum %s usage per %s is %s", name, d.bounds.Type, bound.String())
	switch {
	case !limited:
		return fmt.Errorf("%s.  No limit is specified", text)
	case limit.Cmp(bound) > 0:
		return fmt.Errorf("%s, but limit is %s", text, limit.String())
	case asked && request.Cmp(bound) > 0:
		return fmt.Errorf("%s, but request is %s", text, request.String())
	}
	return nil
}

func (d demand) withinRatio(name corev1.ResourceName, bound resource.Quantity) error {
	request, limit := d.requests[name], d.limits[name]
	text := fmt.Sprintf("%s max limit to request ratio per %s is %s", name, d.bounds.Type, bound.String())
	switch {
	case request.IsZero():
		return fmt.Errorf("%s, but no request is specified or request is 0", text)
	case limit.IsZero():
		return fmt.Errorf("%s, but no limit is specified or limit is 0", text)
	}
	ratio := quotient(limit, request)
	if ratio > bound.AsApproximateFloat64() {
		return fmt.Errorf("%s, but provided ratio is %f", text, ratio)
	}
	return nil
}

// quotient divides in thousandths where these fit, so that 300m by 100m is
// exactly three.
func quotient(x, y resource.Quantity) float64 {
	if x.Value() <= resource.MaxMilliValue && y.Value() <= resource.MaxMilliValue {
		return float64(x.MilliValue()) / float64(y.MilliValue())
	}
	return float64(x.Value()) / float64(y.Value())
}

func sortedNames(list corev1.ResourceList) []corev1.ResourceName {
	return slices.Sorted(maps.Keys(list))
}
