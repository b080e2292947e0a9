// Package quota says what each object costs of a ResourceQuota: pods by number,
// by what their containers ask for and by scope; other kinds by number.
//
// It only measures. Refusing what does not fit is the admission plugin's part,
// keeping the status of quotas true the controller's.
package quota

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	quota "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/utils/clock"
)

var podResource = corev1.SchemeGroupVersion.WithResource("pods")

// counted are the kinds other than pods that a quota can count, each as
// count/RESOURCE.GROUP and some by an older name too.
var counted = []struct {
	resource schema.GroupVersionResource
	alias    corev1.ResourceName
}{
	{corev1.SchemeGroupVersion.WithResource("configmaps"), corev1.ResourceConfigMaps},
	{corev1.SchemeGroupVersion.WithResource("replicationcontrollers"), corev1.ResourceReplicationControllers},
	{corev1.SchemeGroupVersion.WithResource("resourcequotas"), corev1.ResourceQuotas},
	{corev1.SchemeGroupVersion.WithResource("secrets"), corev1.ResourceSecrets},
	{corev1.SchemeGroupVersion.WithResource("serviceaccounts"), ""},
	{corev1.SchemeGroupVersion.WithResource("services"), corev1.ResourceServices},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}, ""},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}, ""},
}

// Resources returns the kinds that a quota can measure.
func Resources() []schema.GroupVersionResource {
	all := []schema.GroupVersionResource{podResource}
	for _, c := range counted {
		all = append(all, c.resource)
	}
	return all
}

// Lister returns how to list the objects of a resource by namespace.
type Lister func(schema.GroupVersionResource) generic.ListFuncByNamespace

// NewRegistry returns the evaluators of all resources. list is needed for
// summing up a namespace and may be nil where single objects are measured.
func NewRegistry(list Lister, now clock.PassiveClock) quota.Registry {
	if list == nil {
		list = func(schema.GroupVersionResource) generic.ListFuncByNamespace { return nil }
	}
	evaluators := []quota.Evaluator{podEvaluator{list: list(podResource), now: now}}
	for _, c := range counted {
		evaluators = append(evaluators,
			generic.NewObjectCountEvaluator(c.resource.GroupResource(), list(c.resource), c.alias))
	}
	return generic.NewRegistry(evaluators)
}
