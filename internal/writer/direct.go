package writer

import (
	"context"

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
	DirectOptions
	interfaces admission.ObjectInterfaces
}

var _ Writer = &Direct{}

// NewDirect returns a writer to the storage in o.
func NewDirect(o DirectOptions) *Direct {
	return &Direct{DirectOptions: o, interfaces: admission.NewObjectInterfacesFromScheme(api.Scheme)}
}

// CreatePod implements Writer.
func (d *Direct) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return create(ctx, d.at(pods, pod), pod.DeepCopy())
}

// DeletePod implements Writer.
func (d *Direct) DeletePod(ctx context.Context, pod types.NamespacedName, options metav1.DeleteOptions) error {
	if errs := metav1validation.ValidateDeleteOptions(&options); len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "DeleteOptions"}, "", errs)
	}
	w := d.at(pods, &metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name})
	storage, err := storageOf[rest.GracefulDeleter](w)
	if err != nil {
		return err
	}
	deleting := w.attributes(change{op: admission.Delete, options: &options})
	_, _, err = storage.Delete(w.context(ctx, "delete"), pod.Name,
		rest.AdmissionToValidateObjectDeleteFunc(d.Admission, deleting, d.interfaces), &options)
	return err
}

// BindPod implements Writer.
func (d *Direct) BindPod(ctx context.Context, binding *corev1.Binding) error {
	w := d.at(bindings, binding)
	storage, err := storageOf[rest.NamedCreater](w)
	if err != nil {
		return err
	}
	_, err = w.create(ctx, binding.DeepCopy(), func(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
		return storage.Create(ctx, binding.Name, obj, validate, o)
	})
	return err
}

// UpdatePodStatus implements Writer.
func (d *Direct) UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return update(ctx, d.at(podStatus, pod), pod.DeepCopy())
}

// UpdateNodeStatus implements Writer.
func (d *Direct) UpdateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return update(ctx, d.at(nodeStatus, node), node.DeepCopy())
}

// UpdateDaemonSetStatus implements Writer.
func (d *Direct) UpdateDaemonSetStatus(ctx context.Context, ds *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	return update(ctx, d.at(dsStatus, ds), ds.DeepCopy())
}

// CreateLease implements Writer.
func (d *Direct) CreateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return create(ctx, d.at(leases, lease), lease.DeepCopy())
}

// UpdateLease implements Writer.
func (d *Direct) UpdateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return update(ctx, d.at(leases, lease), lease.DeepCopy())
}

// CreateEvent implements Writer. Events are stored as those of the core group.
func (d *Direct) CreateEvent(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return fromCore(create(ctx, d.at(events, event), toCore(event)))
}

// UpdateEvent implements Writer.
func (d *Direct) UpdateEvent(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return fromCore(update(ctx, d.at(events, event), toCore(event)))
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
