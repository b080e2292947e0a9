package writer

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/garrison-project/garrison/internal/api"
)

// resource is a resource or subresource, and the kind that is written to it.
type resource struct {
	gv                schema.GroupVersion
	name, subresource string
	kind              string
}

// The resources written.
var (
	pods       = resource{corev1.SchemeGroupVersion, "pods", "", "Pod"}
	podStatus  = resource{corev1.SchemeGroupVersion, "pods", "status", "Pod"}
	bindings   = resource{corev1.SchemeGroupVersion, "pods", "binding", "Binding"}
	nodeStatus = resource{corev1.SchemeGroupVersion, "nodes", "status", "Node"}
	dsStatus   = resource{appsv1.SchemeGroupVersion, "daemonsets", "status", "DaemonSet"}
	leases     = resource{coordinationv1.SchemeGroupVersion, "leases", "", "Lease"}
	events     = resource{eventsv1.SchemeGroupVersion, "events", "", "Event"}
)

func (r resource) path() string {
	if r.subresource == "" {
		return r.name
	}
	return r.name + "/" + r.subresource
}

// write is one write of one object under way.
type write struct {
	*Direct
	resource
	namespace, name string
}

// at begins a write to a resource, of the object that meta belongs to.
func (d *Direct) at(r resource, meta metav1.Object) write {
	return write{Direct: d, resource: r, namespace: meta.GetNamespace(), name: meta.GetName()}
}

// storageOf returns what serves the resource, as a T.
func storageOf[T any](w write) (T, error) {
	storage, ok := w.Storage.Storage(w.gv, w.path()).(T)
	if !ok {
		return storage, apierrors.NewNotFound(w.gv.WithResource(w.path()).GroupResource(), w.name)
	}
	return storage, nil
}

// object is a pointer to an API type.
type object interface {
	runtime.Object
	metav1.Object
}

// create stores obj, which it may change.
func create[T object](ctx context.Context, w write, obj T) (T, error) {
	var none T
	storage, err := storageOf[rest.Creater](w)
	if err != nil {
		return none, err
	}
	created, err := w.create(ctx, obj, storage.Create)
	if err != nil {
		return none, err
	}
	return untyped[T](created), nil
}

// createFunc is the signature of rest.Creater's Create.
type createFunc func(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error)

func (w write) create(ctx context.Context, obj object, store createFunc) (runtime.Object, error) {
	ctx = w.context(ctx, "create")
	api.Scheme.Default(obj)
	rest.WipeObjectMetaSystemFields(obj)
	options := &metav1.CreateOptions{}
	creating := w.attributes(change{op: admission.Create, obj: obj, options: options})
	if err := w.admit(ctx, creating); err != nil {
		return nil, err
	}
	return store(ctx, obj, rest.AdmissionToValidateObjectFunc(w.Admission, creating, w.interfaces), options)
}

// update replaces what is stored by obj, as far as the resource allows. It may
// change obj.
func update[T object](ctx context.Context, w write, obj T) (T, error) {
	var none T
	storage, err := storageOf[rest.Updater](w)
	if err != nil {
		return none, err
	}
	api.Scheme.Default(obj)
	creating := change{op: admission.Create, options: &metav1.CreateOptions{}}
	updating := change{op: admission.Update, options: &metav1.UpdateOptions{}}
	admit := func(ctx context.Context, changed, old runtime.Object) (runtime.Object, error) {
		// Some kinds may be created by an update: then old is an empty object.
		c := creating
		if old.(metav1.Object).GetUID() != "" {
			c = updating
			c.old = old
		}
		c.obj = changed
		return changed, w.admit(ctx, w.attributes(c))
	}
	updated, _, err := storage.Update(w.context(ctx, "update"), w.name, rest.DefaultUpdatedObjectInfo(obj, admit),
		rest.AdmissionToValidateObjectFunc(w.Admission, w.attributes(creating), w.interfaces),
		rest.AdmissionToValidateObjectUpdateFunc(w.Admission, w.attributes(updating), w.interfaces),
		false, &metav1.UpdateOptions{})
	if err != nil {
		return none, err
	}
	return untyped[T](updated), nil
}

// untyped clears kind and version, which objects from the store have and those
// from a client have not, and which the Go type says anyway.
func untyped[T object](obj runtime.Object) T {
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return obj.(T)
}

// change is what a write does, in the terms of admission.
type change struct {
	op                admission.Operation
	obj, old, options runtime.Object
}

func (w write) attributes(c change) admission.Attributes {
	return admission.NewAttributesRecord(c.obj, c.old, w.gv.WithKind(w.kind), w.namespace, w.name,
		w.gv.WithResource(w.resource.name), w.subresource, c.op, c.options, false, w.User)
}

// admit lets the admission plugins change the object of a write.
func (w write) admit(ctx context.Context, a admission.Attributes) error {
	m, ok := w.Admission.(admission.MutationInterface)
	if !ok || !m.Handles(a.GetOperation()) {
		return nil
	}
	return m.Admit(ctx, a, w.interfaces)
}

// context says in ctx what a request would.
func (w write) context(ctx context.Context, verb string) context.Context {
	ctx = request.WithNamespace(ctx, w.namespace)
	ctx = request.WithUser(ctx, w.User)
	return request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true,
		Verb:              verb,
		APIGroup:          w.gv.Group,
		APIVersion:        w.gv.Version,
		Namespace:         w.namespace,
		Resource:          w.resource.name,
		Subresource:       w.subresource,
		Name:              w.name,
	})
}
