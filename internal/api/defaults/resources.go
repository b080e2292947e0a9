package defaults

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// roundUp rounds every quantity up to the next thousandth, the finest that the
// API keeps.
func roundUp(list corev1.ResourceList) {
	for name, quantity := range list {
		quantity.RoundUp(resource.Milli)
		list[name] = quantity
	}
}

func roundUpRequirements(r *corev1.ResourceRequirements) {
	roundUp(r.Limits)
	roundUp(r.Requests)
}

// requestsFromLimits requests whatever is limited but not requested.
func requestsFromLimits(c *corev1.Container) {
	if c.Resources.Limits != nil && c.Resources.Requests == nil {
		c.Resources.Requests = corev1.ResourceList{}
	}
	fillFrom(c.Resources.Requests, c.Resources.Limits)
}

// fillFrom adds to list what only source names. A nil list takes nothing and
// is legal only with an empty source.
func fillFrom(list, source corev1.ResourceList) {
	for name, quantity := range source {
		if _, set := list[name]; !set {
			list[name] = quantity.DeepCopy()
		}
	}
}

// setQuantity adds one resource unless it is there already.
func setQuantity(list *corev1.ResourceList, name corev1.ResourceName, quantity resource.Quantity) {
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	if _, set := (*list)[name]; !set {
		(*list)[name] = quantity.DeepCopy()
	}
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}
