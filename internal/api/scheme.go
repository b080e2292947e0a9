// Package api knows the Go types of every object the API server speaks of:
// the scheme, the codecs, the field selectors and the conversion between the
// two faces of an event. Which resources are served, and how they behave, is
// left to package kinds.
package api

import (
	"path"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/garrison-project/garrison/internal/api/defaults"
)

var (
	// Scheme knows each type as group/v1 and as group/__internal. There is one
	// Go type for both, so the server converts nothing between a request and
	// the store; only events have two types (see events.go).
	Scheme = runtime.NewScheme()
	// Codecs encodes and decodes the types of Scheme.
	Codecs = serializer.NewCodecFactory(Scheme)
	// ParameterCodec reads the query parameters of requests.
	ParameterCodec = runtime.NewParameterCodec(Scheme)
)

// group is one API group version: its types, and the package that holds them.
type group struct {
	version schema.GroupVersion
	add     func(*runtime.Scheme) error
}

var groups = []group{
	{corev1.SchemeGroupVersion, corev1.AddToScheme},
	{appsv1.SchemeGroupVersion, appsv1.AddToScheme},
	{authenticationv1.SchemeGroupVersion, authenticationv1.AddToScheme},
	{authorizationv1.SchemeGroupVersion, authorizationv1.AddToScheme},
	{autoscalingv1.SchemeGroupVersion, autoscalingv1.AddToScheme},
	{coordinationv1.SchemeGroupVersion, coordinationv1.AddToScheme},
	{discoveryv1.SchemeGroupVersion, discoveryv1.AddToScheme},
	{eventsv1.SchemeGroupVersion, eventsv1.AddToScheme},
	{networkingv1.SchemeGroupVersion, networkingv1.AddToScheme},
	{nodev1.SchemeGroupVersion, nodev1.AddToScheme},
	{policyv1.SchemeGroupVersion, policyv1.AddToScheme},
	{rbacv1.SchemeGroupVersion, rbacv1.AddToScheme},
	{schedulingv1.SchemeGroupVersion, schedulingv1.AddToScheme},
	{storagev1.SchemeGroupVersion, storagev1.AddToScheme},
}

func init() {
	for _, g := range groups {
		utilruntime.Must(g.add(Scheme))
		utilruntime.Must(Scheme.SetVersionPriority(g.version))
		addInternal(Scheme, g.version)
	}
	utilruntime.Must(defaults.Register(Scheme))
	utilruntime.Must(addEventConversions(Scheme))
	utilruntime.Must(addFieldLabels(Scheme))
	utilruntime.Must(addParameterConversions(Scheme))
}

// OpenAPIScheme returns a scheme of the versioned types alone. Names in the
// OpenAPI documents are made from it, so that no internal version shows there.
func OpenAPIScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, g := range groups {
		utilruntime.Must(g.add(s))
	}
	return s
}

// addInternal registers the types of gv a second time under the internal
// version of its group, which is what the server decodes into. The options and
// watch types that every group shares have internal versions of their own.
func addInternal(s *runtime.Scheme, gv schema.GroupVersion) {
	internal := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
	for kind, t := range s.KnownTypes(gv) {
		if path.Base(path.Dir(t.PkgPath())) == "meta" || ownInternal[internal.WithKind(kind)] {
			continue
		}
		s.AddKnownTypeWithName(internal.WithKind(kind), reflect.New(t).Interface().(runtime.Object))
	}
}

// GroupVersions returns the group versions of Scheme, the legacy group first.
func GroupVersions() []schema.GroupVersion {
	out := make([]schema.GroupVersion, 0, len(groups))
	for _, g := range groups {
		out = append(out, g.version)
	}
	return out
}
