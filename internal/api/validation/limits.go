package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// LimitRange checks a LimitRange, new or changed.
func LimitRange(lr *corev1.LimitRange) field.ErrorList {
	f := faults{list: namespaced(&lr.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	types := seen[corev1.LimitType]{}
	for i := range lr.Spec.Limits {
		item, at := &lr.Spec.Limits[i], specPath.Child("limits").Index(i)
		f.limitType(item.Type, at.Child("type"))
		if types.again(item.Type) {
			f.duplicate(at.Child("type"), item.Type)
		}
		f.limitNames(item, at)
		for _, name := range limitedResources(item) {
			f.limitOrder(item, name, at)
			f.limitRatio(item, name, at.Child("maxLimitRequestRatio").Key(string(name)))
		}
	}
	return f.list
}

func (f *faults) limitType(t corev1.LimitType, at *field.Path) {
	before := len(f.list)
	f.qualifiedName(at, string(t))
	standard := []corev1.LimitType{corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim}
	if len(f.list) == before && !strings.Contains(string(t), "/") && !slices.Contains(standard, t) {
		f.invalid(at, t, "must be a standard limit type or fully qualified")
	}
}

// limitNames checks which resources an item names, and where.
func (f *faults) limitNames(item *corev1.LimitRangeItem, at *field.Path) {
	list := func(name string, resources corev1.ResourceList) {
		for _, key := range sortedKeys(resources) {
			at := at.Child(name).Key(string(key))
			if item.Type == corev1.LimitTypePod || item.Type == corev1.LimitTypeContainer {
				f.containerResourceName(at, key)
			} else {
				f.resourceName(at, key)
			}
		}
	}
	list("max", item.Max)
	list("min", item.Min)
	if item.Type == corev1.LimitTypePod {
		const text = "may not be specified when `type` is 'Pod'"
		if len(item.Default) > 0 {
			f.forbidden(at.Child("default"), text)
		}
		if len(item.DefaultRequest) > 0 {
			f.forbidden(at.Child("defaultRequest"), text)
		}
	} else {
		list("default", item.Default)
		list("defaultRequest", item.DefaultRequest)
	}
	if item.Type == corev1.LimitTypePersistentVolumeClaim {
		_, least := item.Min[corev1.ResourceStorage]
		_, most := item.Max[corev1.ResourceStorage]
		if !least && !most {
			f.required(at.Child("limits"), "either minimum or maximum storage value is required, but neither was provided")
		}
	}
	list("maxLimitRequestRatio", item.MaxLimitRequestRatio)
}

func limitedResources(item *corev1.LimitRangeItem) []corev1.ResourceName {
	all := corev1.ResourceList{}
	for _, list := range []corev1.ResourceList{item.Max, item.Min, item.MaxLimitRequestRatio} {
		maps.Copy(all, list)
	}
	if item.Type != corev1.LimitTypePod {
		maps.Copy(all, item.Default)
		maps.Copy(all, item.DefaultRequest)
	}
	return sortedKeys(all)
}

// limitOrder checks that min ≤ default request ≤ default ≤ max, as far as they
// are given.
func (f *faults) limitOrder(item *corev1.LimitRangeItem, name corev1.ResourceName, at *field.Path) {
	type bound struct {
		text  string
		value resource.Quantity
		set   bool
	}
	from := func(text string, list corev1.ResourceList) bound {
		if item.Type == corev1.LimitTypePod && strings.HasPrefix(text, "default") {
			return bound{} // not allowed there in the first place
		}
		q, ok := list[name]
		return bound{text, q, ok}
	}
	least, most := from("min value", item.Min), from("max value", item.Max)
	limit, request := from("default value", item.Default), from("default request value", item.DefaultRequest)
	wrong := func(where string, shown, low, high bound) {
		if low.set && high.set && low.value.Cmp(high.value) > 0 {
			f.invalid(at.Child(where).Key(string(name)), shown.value,
				fmt.Sprintf("%s %s is greater than %s %s", low.text, low.value.String(), high.text, high.value.String()))
		}
	}
	wrong("min", least, least, most)
	wrong("defaultRequest", request, least, request)
	wrong("defaultRequest", request, request, most)
	asLimit := limit
	asLimit.text = "default limit value"
	wrong("defaultRequest", request, request, asLimit)
	wrong("default", least, least, limit)
	wrong("default", most, limit, most)
	if !overcommits(name) && limit.set && request.set && limit.value.Cmp(request.value) != 0 {
		f.invalid(at.Child("defaultRequest").Key(string(name)), request.value,
			fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", limit.value.String(), request.value.String(), name))
	}
}

// limitRatio checks how far a limit may exceed its request.
func (f *faults) limitRatio(item *corev1.LimitRangeItem, name corev1.ResourceName, at *field.Path) {
	ratio, ok := item.MaxLimitRequestRatio[name]
	if !ok {
		return
	}
	if ratio.Cmp(resource.MustParse("1")) < 0 {
		f.invalid(at, ratio, fmt.Sprintf("ratio %s is less than 1", ratio.String()))
	}
	least, hasLeast := item.Min[name]
	most, hasMost := item.Max[name]
	if !hasLeast || !hasMost {
		return
	}
	widest := most.AsApproximateFloat64() / least.AsApproximateFloat64()
	if ratio.AsApproximateFloat64() > widest {
		f.invalid(at, ratio, fmt.Sprintf("ratio %s is greater than max/min = %f", ratio.String(), widest))
	}
}
