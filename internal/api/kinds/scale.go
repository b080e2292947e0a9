package kinds

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// scaleREST serves the scale subresource: the number of replicas, wanted and
// seen, in a form that is the same for each kind.
type scaleREST struct {
	store *genericregistry.Store
	// of returns where an object keeps the wanted number, the number seen, and
	// the selector of its pods as text.
	of func(runtime.Object) (wanted **int32, seen int32, selector string)
}

var (
	_ rest.Patcher                  = &scaleREST{}
	_ rest.GroupVersionKindProvider = &scaleREST{}
)

func (r *scaleREST) New() runtime.Object { return &autoscalingv1.Scale{} }

// Destroy does nothing: the main resource owns the store.
func (r *scaleREST) Destroy() {}

func (r *scaleREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return autoscalingv1.SchemeGroupVersion.WithKind("Scale")
}

func (r *scaleREST) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	obj, err := r.store.Get(ctx, name, o)
	if err != nil {
		return nil, err
	}
	return r.scale(obj), nil
}

// scale shows an object as a Scale.
func (r *scaleREST) scale(obj runtime.Object) *autoscalingv1.Scale {
	wanted, seen, selector := r.of(obj)
	m := obj.(metav1.Object)
	s := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{
			Name:              m.GetName(),
			Namespace:         m.GetNamespace(),
			UID:               m.GetUID(),
			ResourceVersion:   m.GetResourceVersion(),
			CreationTimestamp: m.GetCreationTimestamp(),
		},
		Status: autoscalingv1.ScaleStatus{Replicas: seen, Selector: selector},
	}
	if *wanted != nil {
		s.Spec.Replicas = **wanted
	}
	return s
}

// Update changes the wanted number of replicas.
func (r *scaleREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	obj, _, err := r.store.Update(ctx, name, &scaledInfo{info, r, name},
		func(ctx context.Context, obj runtime.Object) error { return create(ctx, r.scale(obj)) },
		func(ctx context.Context, obj, old runtime.Object) error {
			return update(ctx, r.scale(obj), r.scale(old))
		},
		false, o)
	if err != nil {
		return nil, false, err
	}
	return r.scale(obj), false, nil
}

// scaledInfo turns the update of a Scale into the update of its object.
type scaledInfo struct {
	scale rest.UpdatedObjectInfo
	rest  *scaleREST
	name  string
}

func (i *scaledInfo) Preconditions() *metav1.Preconditions { return i.scale.Preconditions() }

func (i *scaledInfo) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	if old.(metav1.Object).GetResourceVersion() == "" {
		return nil, apierrors.NewNotFound(i.rest.store.DefaultQualifiedResource, i.name)
	}
	changed, err := i.scale.UpdatedObject(ctx, i.rest.scale(old))
	if err != nil {
		return nil, err
	}
	s, ok := changed.(*autoscalingv1.Scale)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected input object type to be Scale, but %T", changed))
	}
	if s.Spec.Replicas < 0 {
		err := field.Invalid(field.NewPath("spec", "replicas"), s.Spec.Replicas, "must be greater than or equal to 0")
		return nil, apierrors.NewInvalid(autoscalingv1.SchemeGroupVersion.WithKind("Scale").GroupKind(), i.name, field.ErrorList{err})
	}
	obj := old.DeepCopyObject()
	wanted, _, _ := i.rest.of(obj)
	*wanted = &s.Spec.Replicas
	// The caller's version decides whether it saw the latest object.
	m := obj.(metav1.Object)
	m.SetResourceVersion(s.ResourceVersion)
	if s.UID != "" {
		m.SetUID(s.UID)
	}
	return obj, nil
}

func selectorText(s *metav1.LabelSelector) string {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return ""
	}
	return selector.String()
}

// scales lists the resources that can be scaled.
func scales(s *Set) map[schema.GroupVersionResource]*scaleREST {
	out := map[schema.GroupVersionResource]*scaleREST{}
	add := func(gvr schema.GroupVersionResource, of func(runtime.Object) (**int32, int32, string)) {
		out[gvr] = &scaleREST{store: s.Store(gvr.GroupResource()), of: of}
	}
	add(coreV1.WithResource("replicationcontrollers"), func(obj runtime.Object) (**int32, int32, string) {
		r := obj.(*corev1.ReplicationController)
		return &r.Spec.Replicas, r.Status.Replicas, labels.SelectorFromSet(r.Spec.Selector).String()
	})
	add(appsV1.WithResource("replicasets"), func(obj runtime.Object) (**int32, int32, string) {
		r := obj.(*appsv1.ReplicaSet)
		return &r.Spec.Replicas, r.Status.Replicas, selectorText(r.Spec.Selector)
	})
	add(appsV1.WithResource("deployments"), func(obj runtime.Object) (**int32, int32, string) {
		d := obj.(*appsv1.Deployment)
		return &d.Spec.Replicas, d.Status.Replicas, selectorText(d.Spec.Selector)
	})
	add(appsV1.WithResource("statefulsets"), func(obj runtime.Object) (**int32, int32, string) {
		t := obj.(*appsv1.StatefulSet)
		return &t.Spec.Replicas, t.Status.Replicas, selectorText(t.Spec.Selector)
	})
	return out
}
