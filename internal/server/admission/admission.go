// Package admission holds the admission plugins of the API server: what it
// adds to an object, and what it refuses, between decoding and validation.
// They behave as the plugins of the same names in Kubernetes.
//
// Each plugin is a thin shell that looks things up; what it decides is a
// function of its own that takes the objects and returns an error. The caller
// builds the chain, puts NamespaceLifecycle before it, and starts the
// informers. The rules that need no other object are not here but in
// api/validation.
package admission

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// Options says what the plugins read from.
type Options struct {
	Client kubernetes.Interface
	// Informers must be started after Plugins has returned, because it asks
	// the factory for those that it needs.
	Informers informers.SharedInformerFactory
	// Serves tells whether the server stores a resource. A plugin that enforces
	// objects which cannot exist is left out; its informer would never sync.
	// nil means that all are served.
	Serves func(schema.GroupResource) bool
	// MountTokens adds the service account token volume to pods. It needs a
	// server that issues tokens.
	MountTokens bool
	// Clock ages what was looked up live. nil means the wall clock.
	Clock clock.PassiveClock
}

// Plugin is one initialised plugin and the name that metrics, logs and audit
// know it by.
type Plugin struct {
	Name string
	admission.Interface
}

// Plugins returns the plugins in the order in which they must run.
func Plugins(o Options) ([]Plugin, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	podSecurity, err := newPodSecurity(o)
	if err != nil {
		return nil, fmt.Errorf("set up PodSecurity: %w", err)
	}
	all := []struct {
		name  string
		needs schema.GroupResource
		build func() admission.Interface
	}{
		{"LimitRanger", limitRanges, func() admission.Interface { return newLimitRanger(o) }},
		{"ServiceAccount", serviceAccounts, func() admission.Interface { return newServiceAccount(o) }},
		{"NodeRestriction", nodes, func() admission.Interface { return newNodeRestriction(o) }},
		{"TaintNodesByCondition", nodes, func() admission.Interface { return newNodeTaint() }},
		{"PodSecurity", namespaces, func() admission.Interface { return podSecurity }},
		{"Priority", priorityClasses, func() admission.Interface { return newPriority(o) }},
		{"DefaultTolerationSeconds", pods, func() admission.Interface { return newDefaultTolerations() }},
		{"RuntimeClass", runtimeClasses, func() admission.Interface { return newRuntimeClass(o) }},
		{"ResourceQuota", resourceQuotas, func() admission.Interface { return newResourceQuota(o) }},
	}
	var plugins []Plugin
	for _, p := range all {
		if o.Serves == nil || o.Serves(p.needs) {
			plugins = append(plugins, Plugin{Name: p.name, Interface: p.build()})
		}
	}
	return plugins, nil
}

var (
	limitRanges     = corev1.Resource("limitranges")
	namespaces      = corev1.Resource("namespaces")
	nodes           = corev1.Resource("nodes")
	pods            = corev1.Resource("pods")
	resourceQuotas  = corev1.Resource("resourcequotas")
	serviceAccounts = corev1.Resource("serviceaccounts")
	priorityClasses = schema.GroupResource{Group: "scheduling.k8s.io", Resource: "priorityclasses"}
	runtimeClasses  = schema.GroupResource{Group: "node.k8s.io", Resource: "runtimeclasses"}
)

// podOf returns the pod that a request creates or updates, or nil when the
// request is about something else, a subresource of a pod included.
func podOf(a admission.Attributes) (*corev1.Pod, error) {
	if a.GetResource().GroupResource() != pods || a.GetSubresource() != "" {
		return nil, nil
	}
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected a Pod but got %T", a.GetObject()))
	}
	return pod, nil
}

// createdPod is podOf for requests that create, nil for all others.
func createdPod(a admission.Attributes) (*corev1.Pod, error) {
	if a.GetOperation() != admission.Create {
		return nil, nil
	}
	return podOf(a)
}

// forbid turns a decision against the request into the answer 403.
// A nil reason stays nil.
func forbid(a admission.Attributes, reason error) error {
	if reason == nil {
		return nil
	}
	return admission.NewForbidden(a, reason)
}
