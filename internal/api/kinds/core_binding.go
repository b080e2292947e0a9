package kinds

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/garrison-project/garrison/internal/api/validation"
)

var (
	podsResource    = coreV1.WithResource("pods").GroupResource()
	bindingResource = coreV1.WithResource("pods/binding").GroupResource()
)

// binder gives pods to nodes. It serves pods/binding, and in-process writers
// may call it directly.
type binder struct {
	pods *genericregistry.Store
}

var (
	_ rest.NamedCreater                   = &binder{}
	_ rest.SubresourceObjectMetaPreserver = &binder{}
)

// New returns an empty Binding.
func (b *binder) New() runtime.Object { return &corev1.Binding{} }

// Destroy does nothing: the pods own the store.
func (b *binder) Destroy() {}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the UID and
// resourceVersion of the binding, which are preconditions on the pod.
func (b *binder) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create binds the named pod as a request asks.
func (b *binder) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %#v", obj))
	}
	if name != binding.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if errs := validation.Binding(binding); len(errs) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Binding").GroupKind(), name, errs)
	}
	if validate != nil {
		if err := validate(ctx, binding.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := b.Bind(ctx, binding, dryrun.IsDryRun(o.DryRun)); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// Bind gives the pod that a valid binding names to its target node. The
// namespace is taken from ctx. A pod that is bound, gated or going away, or
// whose UID or resourceVersion is not the binding's, is a conflict.
func (b *binder) Bind(ctx context.Context, binding *corev1.Binding, dryRun bool) error {
	key, err := b.pods.KeyFunc(ctx, binding.Name)
	if err != nil {
		return err
	}
	update := storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		pod := obj.(*corev1.Pod)
		if err := bindable(pod); err != nil {
			return nil, err
		}
		bind(pod, binding, metav1.Now())
		return pod, nil
	})
	err = b.pods.Storage.GuaranteedUpdate(ctx, key, &corev1.Pod{}, false, preconditions(binding), update, dryRun, nil)
	if err == nil {
		return nil
	}
	err = storeerr.InterpretGetError(err, podsResource, binding.Name)
	err = storeerr.InterpretUpdateError(err, podsResource, binding.Name)
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		err = apierrors.NewConflict(bindingResource, binding.Name, err)
	}
	return err
}

func preconditions(b *corev1.Binding) *storage.Preconditions {
	var p storage.Preconditions
	if b.UID != "" {
		p.UID = &b.UID
	}
	if b.ResourceVersion != "" {
		p.ResourceVersion = &b.ResourceVersion
	}
	return &p
}

// bindable says why a pod cannot be given to a node.
func bindable(p *corev1.Pod) error {
	switch {
	case p.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", p.Name)
	case p.Spec.NodeName != "":
		return fmt.Errorf("pod %v is already assigned to node %q", p.Name, p.Spec.NodeName)
	case len(p.Spec.SchedulingGates) > 0:
		return fmt.Errorf("pod %v has non-empty .spec.schedulingGates", p.Name)
	}
	return nil
}

// bind changes p to be on the node of b, with b's annotations and labels.
func bind(p *corev1.Pod, b *corev1.Binding, now metav1.Time) {
	putOn(p, b.Target.Name, now)
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	maps.Copy(p.Annotations, b.Annotations)
	if p.Labels == nil && len(b.Labels) > 0 {
		p.Labels = map[string]string{}
	}
	maps.Copy(p.Labels, b.Labels)
}

// putOn changes p to be scheduled, on a node.
func putOn(p *corev1.Pod, node string, now metav1.Time) {
	p.Spec.NodeName = node
	p.Status.NominatedNodeName = ""
	setPodCondition(p, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, now)
}

// bindingREST serves the older collection of bindings, each of which names its
// pod.
type bindingREST struct {
	binder *binder
}

var _ rest.Creater = &bindingREST{}

func (r *bindingREST) New() runtime.Object     { return r.binder.New() }
func (r *bindingREST) Destroy()                {}
func (r *bindingREST) NamespaceScoped() bool   { return true }
func (r *bindingREST) GetSingularName() string { return "binding" }

func (r *bindingREST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %#v", obj))
	}
	return r.binder.Create(ctx, binding.Name, binding, validate, o)
}
