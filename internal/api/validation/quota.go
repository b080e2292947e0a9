package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ResourceQuota checks a new quota.
func ResourceQuota(rq *corev1.ResourceQuota) field.ErrorList {
	f := faults{list: namespaced(&rq.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	f.quotaSpec(&rq.Spec, specPath)
	f.quotaStatus(&rq.Status, statusPath)
	return f.list
}

// ResourceQuotaUpdate checks a changed quota, whose scopes must stay.
func ResourceQuotaUpdate(rq, old *corev1.ResourceQuota) field.ErrorList {
	f := faults{list: metaUpdate(&rq.ObjectMeta, &old.ObjectMeta)}
	f.quotaSpec(&rq.Spec, specPath)
	if !slices.Equal(scopeSet(rq.Spec.Scopes), scopeSet(old.Spec.Scopes)) {
		f.invalid(specPath.Child("scopes"), rq.Spec.Scopes, apivalidation.FieldImmutableErrorMsg)
	}
	return f.list
}

// ResourceQuotaStatusUpdate checks a changed status of a quota.
func ResourceQuotaStatusUpdate(rq, old *corev1.ResourceQuota) field.ErrorList {
	f := faults{list: metaUpdate(&rq.ObjectMeta, &old.ObjectMeta)}
	f.needs(field.NewPath("resourceVersion"), rq.ResourceVersion)
	f.quotaStatus(&rq.Status, statusPath)
	return f.list
}

func scopeSet(scopes []corev1.ResourceQuotaScope) []corev1.ResourceQuotaScope {
	return slices.Compact(slices.Sorted(slices.Values(scopes)))
}

func (f *faults) quotaStatus(status *corev1.ResourceQuotaStatus, at *field.Path) {
	f.quotaList(status.Hard, at.Child("hard"))
	f.quotaList(status.Used, at.Child("used"))
}

func (f *faults) quotaList(list corev1.ResourceList, at *field.Path) {
	for _, name := range sortedKeys(list) {
		at := at.Key(string(name))
		f.resourceName(at, name)
		if !strings.Contains(string(name), "/") && !isStandardForQuota(name) {
			f.invalid(at, name, "must be a standard resource for quota")
		}
		f.quantity(at, name, list[name])
	}
}

func (f *faults) quotaSpec(spec *corev1.ResourceQuotaSpec, at *field.Path) {
	f.quotaList(spec.Hard, at.Child("hard"))
	scopes := at.Child("scopes")
	for _, scope := range spec.Scopes {
		if quotaScopes[scope] == nil {
			f.invalid(scopes, spec.Scopes, "unsupported scope")
		}
		f.scopedResources(scope, spec.Hard, spec.Scopes, scopes)
	}
	f.scopePairs(spec.Scopes, spec.Scopes, scopes)
	if spec.ScopeSelector == nil {
		return
	}
	expressions := at.Child("scopeSelector", "matchExpressions")
	var selected []corev1.ResourceQuotaScope
	for i := range spec.ScopeSelector.MatchExpressions {
		r := &spec.ScopeSelector.MatchExpressions[i]
		selected = append(selected, r.ScopeName)
		f.scopeRequirement(r, spec, expressions)
	}
	f.scopePairs(selected, spec.Scopes, expressions)
}

var (
	podQuotas = []corev1.ResourceName{
		corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
	}
	// quotaScopes are the scopes there are, and the resources that each can
	// narrow down.
	quotaScopes = map[corev1.ResourceQuotaScope][]corev1.ResourceName{
		corev1.ResourceQuotaScopeTerminating:               podQuotas,
		corev1.ResourceQuotaScopeNotTerminating:            podQuotas,
		corev1.ResourceQuotaScopeNotBestEffort:             podQuotas,
		corev1.ResourceQuotaScopePriorityClass:             podQuotas,
		corev1.ResourceQuotaScopeCrossNamespacePodAffinity: podQuotas,
		corev1.ResourceQuotaScopeBestEffort:                {corev1.ResourcePods},
		corev1.ResourceQuotaScopeVolumeAttributesClass:     {corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage},
	}
)

// scopedResources checks that a scope means something for each resource.
func (f *faults) scopedResources(scope corev1.ResourceQuotaScope, hard corev1.ResourceList, shown any, at *field.Path) {
	allowed := quotaScopes[scope]
	for _, name := range sortedKeys(hard) {
		if allowed != nil && isStandardForQuota(name) && !slices.Contains(allowed, name) {
			f.invalid(at, shown, "unsupported scope applied to resource")
		}
	}
}

// scopePairs refuses scopes of which no pod can be in both.
func (f *faults) scopePairs(scopes []corev1.ResourceQuotaScope, shown any, at *field.Path) {
	for _, pair := range [][2]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if slices.Contains(scopes, pair[0]) && slices.Contains(scopes, pair[1]) {
			f.invalid(at, shown, "conflicting scopes")
		}
	}
}

func (f *faults) scopeRequirement(r *corev1.ScopedResourceSelectorRequirement, spec *corev1.ResourceQuotaSpec, at *field.Path) {
	if quotaScopes[r.ScopeName] == nil {
		f.invalid(at.Child("scopeName"), r.ScopeName, "unsupported scope")
	}
	f.scopedResources(r.ScopeName, spec.Hard, spec.ScopeSelector, at)
	switch r.ScopeName {
	case corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopeTerminating,
		corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		if r.Operator != corev1.ScopeSelectorOpExists {
			f.invalid(at.Child("operator"), r.Operator, "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity")
		}
	}
	switch r.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		if len(r.Values) == 0 {
			f.required(at.Child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
		}
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			f.invalid(at.Child("values"), r.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")
		}
	default:
		f.invalid(at.Child("operator"), r.Operator, "not a valid selector operator")
	}
}
