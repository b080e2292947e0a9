package writer

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/garrison-project/garrison/internal/api"
)

// Storage finds what serves a resource or subresource, nil if nothing does.
type Storage interface {
	Storage(gv schema.GroupVersion, resource string) rest.Storage
}

// DirectOptions is what Direct writes with.
type DirectOptions struct {
	Storage Storage
	// Admission sees every write, as it sees requests.
	Admission admission.Interface
	// User is who makes the writes.
	User user.Info
}

// Direct writes to the storage of an API server in this process: defaults,
// admission, validation and storage as for a request, but without a request,
// an encoding of it, or managed fields.
type Direct struct {
	o          DirectOptions
	interfaces admission.ObjectInterfaces
}

var _ Writer = &Direct{}

// NewDirect returns a writer to the storage in o.
func NewDirect(o DirectOptions) *Direct {
	return &Direct{o: o, interfaces: admission.NewObjectInterfacesFromScheme(api.Scheme)}
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

// CreatePod implements Writer.
func (d *Direct) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return create(ctx, d, pods, pod.DeepCopy())
}

// DeletePod implements Writer.
func (d *Direct) DeletePod(ctx context.Context, pod types.NamespacedName, options metav1.DeleteOptions) error {
	if errs := metav1validation.ValidateDeleteOptions(&options); len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "DeleteOptions"}, "", errs)
	}
	w := d.write(pods, "delete", pod)
	attributes := w.attributes(admission.Delete, nil, nil, &options)
	storage, err := find[rest.GracefulDeleter](d, pods)
	if err != nil {
		return err
	}
	_, _, err = storage.Delete(w.context(ctx), pod.Name, rest.AdmissionToValidateObjectDeleteFunc(d.o.Admission, attributes, d.interfaces), &options)
	return err
}

// BindPod implements Writer.
func (d *Direct) BindPod(ctx context.Context, binding *corev1.Binding) error {
	storage, err := find[rest.NamedCreater](d, bindings)
	if err != nil {
		return err
	}
	_, err = createWith(ctx, d, bindings, binding.DeepCopy(), func(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
		return storage.Create(ctx, binding.Name, obj, validate, options)
	})
	return err
}

// UpdatePodStatus implements Writer.
func (d *Direct) UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return update(ctx, d, podStatus, pod.DeepCopy())
}

// UpdateNodeStatus implements Writer.
func (d *Direct) UpdateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return update(ctx, d, nodeStatus, node.DeepCopy())
}

// UpdateDaemonSetStatus implements Writer.
func (d *Direct) UpdateDaemonSetStatus(ctx context.Context, ds *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	return update(ctx, d, dsStatus, ds.DeepCopy())
}

// CreateLease implements Writer.
func (d *Direct) CreateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return create(ctx, d, leases, lease.DeepCopy())
}

// UpdateLease implements Writer.
func (d *Direct) UpdateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return update(ctx, d, leases, lease.DeepCopy())
}

// CreateEvent implements Writer. Events are stored as those of the core group.
func (d *Direct) CreateEvent(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return fromCore(create(ctx, d, events, toCore(event)))
}

// UpdateEvent implements Writer.
func (d *Direct) UpdateEvent(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return fromCore(update(ctx, d, events, toCore(event)))
}

func toCore(event *eventsv1.Event) *corev1.Event {
	stored := &corev1.Event{}
	api.EventToCore(event.DeepCopy(), stored)
	return stored
}

func fromCore(stored *corev1.Event, err error) (*eventsv1.Event, error) {
	if err != nil {
		return nil, err
	}
	event := &eventsv1.Event{}
	api.EventFromCore(stored, event)
	return event, nil
}

// object is a pointer to an API type.
type object interface {
	runtime.Object
	metav1.Object
}

// create stores obj, which it may change.
func create[T object](ctx context.Context, d *Direct, r resource, obj T) (T, error) {
	var none T
	storage, err := find[rest.Creater](d, r)
	if err != nil {
		return none, err
	}
	created, err := createWith(ctx, d, r, obj, storage.Create)
	if err != nil {
		return none, err
	}
	return untyped[T](created), nil
}

// untyped clears kind and version, which objects from the store have and those
// from a client have not, and which the Go type says anyway.
func untyped[T object](obj runtime.Object) T {
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return obj.(T)
}

type createFunc func(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error)

func createWith(ctx context.Context, d *Direct, r resource, obj object, store createFunc) (runtime.Object, error) {
	w := d.write(r, "create", types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()})
	ctx = w.context(ctx)
	api.Scheme.Default(obj)
	rest.WipeObjectMetaSystemFields(obj)
	options := &metav1.CreateOptions{}
	attributes := w.attributes(admission.Create, obj, nil, options)
	if err := d.admit(ctx, attributes); err != nil {
		return nil, err
	}
	return store(ctx, obj, rest.AdmissionToValidateObjectFunc(d.o.Admission, attributes, d.interfaces), options)
}

// update replaces what is stored by obj, as far as the resource allows. It may
// change obj.
func update[T object](ctx context.Context, d *Direct, r resource, obj T) (T, error) {
	var none T
	storage, err := find[rest.Updater](d, r)
	if err != nil {
		return none, err
	}
	w := d.write(r, "update", types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()})
	api.Scheme.Default(obj)
	admit := func(ctx context.Context, changed, old runtime.Object) (runtime.Object, error) {
		// Some kinds may be created by an update: then old is an empty object.
		if old.(metav1.Object).GetUID() == "" {
			return changed, d.admit(ctx, w.attributes(admission.Create, changed, nil, &metav1.CreateOptions{}))
		}
		return changed, d.admit(ctx, w.attributes(admission.Update, changed, old, &metav1.UpdateOptions{}))
	}
	creating := w.attributes(admission.Create, nil, nil, &metav1.CreateOptions{})
	updating := w.attributes(admission.Update, nil, nil, &metav1.UpdateOptions{})
	updated, _, err := storage.Update(w.context(ctx), obj.GetName(), rest.DefaultUpdatedObjectInfo(obj, admit),
		rest.AdmissionToValidateObjectFunc(d.o.Admission, creating, d.interfaces),
		rest.AdmissionToValidateObjectUpdateFunc(d.o.Admission, updating, d.interfaces),
		false, &metav1.UpdateOptions{})
	if err != nil {
		return none, err
	}
	return untyped[T](updated), nil
}

// admit lets the admission plugins change the object of a write.
func (d *Direct) admit(ctx context.Context, a admission.Attributes) error {
	m, ok := d.o.Admission.(admission.MutationInterface)
	if !ok || !m.Handles(a.GetOperation()) {
		return nil
	}
	return m.Admit(ctx, a, d.interfaces)
}

func find[T any](d *Direct, r resource) (T, error) {
	storage, ok := d.o.Storage.Storage(r.gv, r.path()).(T)
	if !ok {
		return storage, apierrors.NewNotFound(r.gv.WithResource(r.path()).GroupResource(), "")
	}
	return storage, nil
}

// resource is a resource or subresource and the kind that is written to it.
type resource struct {
	gv                schema.GroupVersion
	name, subresource string
	kind              string
}

func (r resource) path() string {
	if r.subresource == "" {
		return r.name
	}
	return fmt.Sprint(r.name, "/", r.subresource)
}

// write is one write under way.
type write struct {
	resource
	types.NamespacedName
	verb string
	user user.Info
}

func (d *Direct) write(r resource, verb string, name types.NamespacedName) write {
	return write{r, name, verb, d.o.User}
}

// context says in ctx what a request would.
func (w write) context(ctx context.Context) context.Context {
	ctx = request.WithNamespace(ctx, w.Namespace)
	ctx = request.WithUser(ctx, w.user)
	return request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true,
		Verb:              w.verb,
		APIGroup:          w.gv.Group,
		APIVersion:        w.gv.Version,
		Namespace:         w.Namespace,
		Resource:          w.name,
		Subresource:       w.subresource,
		Name:              w.Name,
	})
}

func (w write) attributes(op admission.Operation, obj, old, options runtime.Object) admission.Attributes {
	return admission.NewAttributesRecord(obj, old, w.gv.WithKind(w.kind), w.Namespace, w.Name,
		w.gv.WithResource(w.name), w.subresource, op, options, false, w.user)
}
