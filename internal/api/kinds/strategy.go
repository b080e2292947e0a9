package kinds

import (
	"context"
	"fmt"
	"reflect"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// fieldSets says, per version, which fields a strategy resets, so that server-
// side apply gives nobody ownership of them.
type fieldSets = map[fieldpath.APIVersion]*fieldpath.Set

// strategy is what happens to every object of a kind on its way to the store:
// the common part here, the kind's own part in its rules.
type strategy[T object] struct {
	runtime.ObjectTyper
	names.NameGenerator
	kind kind[T]
}

func (s strategy[T]) NamespaceScoped() bool                         { return !s.kind.cluster }
func (s strategy[T]) AllowCreateOnUpdate(context.Context) bool      { return s.kind.createOnUpdate }
func (s strategy[T]) AllowUnconditionalUpdate(context.Context) bool { return !s.kind.conditional }
func (s strategy[T]) Canonicalize(runtime.Object)                   {}

// DefaultGarbageCollectionPolicy is for deletes that do not say.
func (s strategy[T]) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	if s.kind.gc == "" {
		return rest.DeleteDependents
	}
	return s.kind.gc
}

// PrepareForCreate drops a submitted status and starts the generation.
func (s strategy[T]) PrepareForCreate(_ context.Context, obj runtime.Object) {
	o := obj.(T)
	if s.kind.hasStatus && !s.kind.keepsStatus {
		section(o, "Status").SetZero()
	}
	if s.kind.generation {
		o.SetGeneration(1)
	}
	if s.kind.prepareCreate != nil {
		s.kind.prepareCreate(o)
	}
}

// PrepareForUpdate keeps the status as it was and counts a change of spec.
func (s strategy[T]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	o, was := obj.(T), old.(T)
	if s.kind.hasStatus {
		section(o, "Status").Set(section(was, "Status"))
	}
	if s.kind.prepareUpdate != nil {
		s.kind.prepareUpdate(o, was)
	}
	s.countChange(o, was)
}

// countChange raises the generation of a kind that has one if spec changed.
func (s strategy[T]) countChange(obj, old T) {
	if s.kind.generation && !apiequality.Semantic.DeepEqual(spec(obj), spec(old)) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
}

// Validate wants at least a name that can be part of a DNS name. Other checks
// of metadata are made for all objects anyway.
func (s strategy[T]) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	o := obj.(T)
	if s.kind.validate != nil {
		return s.kind.validate(o)
	}
	return apivalidation.ValidateObjectMetaAccessor(o, !s.kind.cluster, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
}

func (s strategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	if s.kind.validateUpdate == nil {
		return nil
	}
	return s.kind.validateUpdate(obj.(T), old.(T))
}

func (s strategy[T]) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	if s.kind.warn == nil {
		return nil
	}
	return s.kind.warn(obj.(T))
}

// WarningsOnUpdate is silent: the creator was warned.
func (s strategy[T]) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// GetResetFields names status, which the main resource does not write.
func (s strategy[T]) GetResetFields() fieldSets {
	if !s.kind.hasStatus {
		return nil
	}
	return fieldSets{s.kind.apiVersion(): fieldpath.NewSet(fieldpath.MakePathOrDie("status"))}
}

// gracefulStrategy is the delete strategy of a kind whose objects are given
// time to end.
type gracefulStrategy[T object] struct {
	strategy[T]
}

func (s gracefulStrategy[T]) CheckGracefulDelete(_ context.Context, obj runtime.Object, o *metav1.DeleteOptions) bool {
	return s.kind.grace(obj.(T), o)
}

// section returns the Spec or Status of an object: by convention every kind
// that has one gives it this name.
func section(obj runtime.Object, name string) reflect.Value {
	return reflect.ValueOf(obj).Elem().FieldByName(name)
}

func spec(obj runtime.Object) any { return section(obj, "Spec").Interface() }

// meets says which precondition, if any, an object does not fulfil.
func meets(o metav1.Object, p *metav1.Preconditions) error {
	switch {
	case p == nil:
	case p.UID != nil && *p.UID != o.GetUID():
		return fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", *p.UID, o.GetUID())
	case p.ResourceVersion != nil && *p.ResourceVersion != o.GetResourceVersion():
		return fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", *p.ResourceVersion, o.GetResourceVersion())
	}
	return nil
}
