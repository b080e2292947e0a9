package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	resourcehelper "k8s.io/component-helpers/resource"
)

// containerResources checks what a container asks for.
func (f *faults) containerResources(r *corev1.ResourceRequirements, claims []string, at *field.Path) {
	f.requirements(r, f.containerResourceName, at)
	f.claimNames(r.Claims, claims, at.Child("claims"))
}

// requirements checks limits and requests against each other. name checks that
// a resource may stand there.
func (f *faults) requirements(r *corev1.ResourceRequirements, name func(*field.Path, corev1.ResourceName), at *field.Path) {
	limits, requests := at.Child("limits"), at.Child("requests")
	for _, key := range sortedKeys(r.Limits) {
		quantity, at := r.Limits[key], limits.Key(string(key))
		name(at, key)
		f.quantity(at, key, quantity)
		f.wholePages(at, key, quantity)
	}
	for _, key := range sortedKeys(r.Requests) {
		quantity, at := r.Requests[key], requests.Key(string(key))
		name(at, key)
		f.quantity(at, key, quantity)

		limit, limited := r.Limits[key]
		switch {
		case !limited && !overcommits(key):
			f.required(limits, "Limit must be set for non overcommitable resources")
		case limited && !overcommits(key) && quantity.Cmp(limit) != 0:
			f.invalid(requests, quantity.String(), fmt.Sprintf("must be equal to %s limit of %s", key, limit.String()))
		case limited && quantity.Cmp(limit) > 0:
			f.invalid(requests, quantity.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", key, limit.String()))
		}
		f.wholePages(at, key, quantity)
	}
	if names(r, isHugePages) && !names(r, isCPUOrMemory) {
		f.forbidden(at, "HugePages require cpu or memory")
	}
}

// names says whether limits or requests name a resource of some sort.
func names(r *corev1.ResourceRequirements, sort func(corev1.ResourceName) bool) bool {
	return slices.ContainsFunc(sortedKeys(r.Limits), sort) || slices.ContainsFunc(sortedKeys(r.Requests), sort)
}

// quantity checks an amount: not negative, and a whole number of what cannot
// be divided.
func (f *faults) quantity(at *field.Path, name corev1.ResourceName, quantity resource.Quantity) {
	if quantity.Sign() < 0 {
		f.invalid(at, quantity.String(), "must be greater than or equal to 0")
	}
	if isIntegral(name) && quantity.MilliValue()%1000 != 0 {
		f.invalid(at, quantity, "must be an integer")
	}
}

// wholePages checks that huge pages are asked for by the page.
func (f *faults) wholePages(at *field.Path, name corev1.ResourceName, quantity resource.Quantity) {
	if !isHugePages(name) {
		return
	}
	page, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	if err != nil || page.Sign() <= 0 || page.MilliValue()%1000 != 0 || quantity.Value()%page.Value() != 0 {
		f.invalid(at, quantity.String(), fmt.Sprintf("%s is not positive integer multiple of %s", quantity.String(), name))
	}
}

// resourceName checks the name of a resource of any kind, and returns whether
// it can stand.
func (f *faults) resourceName(at *field.Path, name corev1.ResourceName) bool {
	before := len(f.list)
	f.qualifiedName(at, string(name))
	if len(f.list) == before && !strings.Contains(string(name), "/") && !isStandard(name) {
		f.invalid(at, name, "must be a standard resource type or fully qualified")
	}
	return len(f.list) == before
}

func (f *faults) containerResourceName(at *field.Path, name corev1.ResourceName) {
	f.resourceName(at, name)
	switch {
	case !strings.Contains(string(name), "/"):
		if !isCPUOrMemory(name) && name != corev1.ResourceEphemeralStorage && !isHugePages(name) {
			f.invalid(at, name, "must be a standard resource for containers")
		}
	case !isNative(name) && !isExtended(name):
		f.invalid(at, name, "doesn't follow extended resource name standard")
	}
}

func (f *faults) podResourceName(at *field.Path, name corev1.ResourceName) {
	if f.resourceName(at, name) && !resourcehelper.IsSupportedPodLevelResource(name) {
		f.add(field.NotSupported(at, name, slices.Sorted(maps.Keys(resourcehelper.SupportedPodLevelResources()))))
	}
}

// claimNames checks that a container uses claims of its pod, each part once.
func (f *faults) claimNames(uses []corev1.ResourceClaim, claims []string, at *field.Path) {
	used := seen[string]{}
	for i, use := range uses {
		at := at.Index(i)
		if !f.needs(at, use.Name) {
			continue
		}
		f.claimUse(use, used, at)
		if slices.Contains(claims, use.Name) {
			continue
		}
		missing := field.NotFound(at, use.Name)
		missing.Detail = "must be one of the names in pod.spec.resourceClaims which is empty"
		if len(claims) > 0 {
			missing.Detail = "must be one of the names in pod.spec.resourceClaims: " + strings.Join(claims, ", ")
		}
		f.add(missing)
	}
}

// claimUse finds overlaps: a claim used as a whole leaves no request of it to
// be used apart.
func (f *faults) claimUse(use corev1.ResourceClaim, used seen[string], at *field.Path) {
	if used[use.Name] {
		f.duplicate(at, use.Name)
		return
	}
	key := use.Name
	if use.Request != "" {
		f.label(at.Child("request"), use.Request)
		key += "/" + use.Request
	}
	if used[key] {
		f.duplicate(at, key)
	} else if use.Request == "" {
		for other := range used {
			if whole, _, part := strings.Cut(other, "/"); part && whole == use.Name {
				f.duplicate(at, use.Name)
			}
		}
	}
	used[key] = true
}

// podResources checks what a pod asks for as a whole.
func (p *podChecker) podResources() {
	r, at := p.spec.Resources, p.path.Child("resources")
	if r == nil {
		return
	}
	if p.spec.OS != nil && p.spec.OS.Name == corev1.Windows {
		p.forbidden(at, "may not be set for a windows pod")
		return
	}
	if r.Claims != nil {
		p.forbidden(at.Child("claims"), "claims may not be set for Resources at pod-level")
	}
	p.requirements(r, p.podResourceName, at)
	p.claimNames(r.Claims, p.claims, at.Child("claims"))
	p.podCoversContainers(r, at)
}

// podCoversContainers checks that a pod's own resources suffice for its
// containers.
func (p *podChecker) podCoversContainers(own *corev1.ResourceRequirements, at *field.Path) {
	pod := &corev1.Pod{Spec: *p.spec}
	requests := resourcehelper.AggregateContainerRequests(pod, resourcehelper.PodResourcesOptions{})
	for _, name := range sortedKeys(requests) {
		sum := requests[name]
		if set, ok := own.Requests[name]; ok && sum.Cmp(set) > 0 {
			p.invalid(at.Child("requests").Key(string(name)), set.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", sum.String()))
		}
	}
	limits := resourcehelper.AggregateContainerLimits(pod, resourcehelper.PodResourcesOptions{})
	for _, name := range sortedKeys(limits) {
		sum := limits[name]
		if set, ok := own.Limits[name]; ok && isHugePages(name) && sum.Cmp(set) > 0 {
			p.invalid(at.Child("limits").Key(string(name)), set.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container limits of %s", sum.String()))
		}
	}
	for i := range p.spec.Containers {
		limits := p.spec.Containers[i].Resources.Limits
		for _, name := range sortedKeys(limits) {
			limit := limits[name]
			if set, ok := own.Limits[name]; ok && limit.Cmp(set) > 0 {
				p.invalid(at.Child("containers").Index(i).Key(string(name)).Child("limits"), limit.String(),
					fmt.Sprintf("must be less than or equal to pod limits of %s", set.String()))
			}
		}
	}
}

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
