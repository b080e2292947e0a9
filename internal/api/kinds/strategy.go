package kinds

import (
	"context"
	"reflect"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/garrison-project/garrison/internal/api"
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

func newStrategy[T object](k kind[T]) strategy[T] {
	return strategy[T]{ObjectTyper: api.Scheme, NameGenerator: names.SimpleNameGenerator, kind: k}
}

func (s strategy[T]) NamespaceScoped() bool                         { return !s.kind.cluster }
func (s strategy[T]) AllowCreateOnUpdate(context.Context) bool      { return s.kind.createOnUpdate }
func (s strategy[T]) AllowUnconditionalUpdate(context.Context) bool { return !s.kind.conditional }
func (s strategy[T]) Canonicalize(runtime.Object)                   {}
func (s strategy[T]) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	if s.kind.gc == "" {
		return rest.DeleteDependents
	}
	return s.kind.gc
}

// PrepareForCreate drops a submitted status and starts the generation.
func (s strategy[T]) PrepareForCreate(_ context.Context, obj runtime.Object) {
	o := obj.(T)
	if s.kind.hasStatus {
		part(o, "Status").SetZero()
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
		part(o, "Status").Set(part(was, "Status"))
	}
	if s.kind.prepareUpdate != nil {
		s.kind.prepareUpdate(o, was)
	}
	if s.kind.generation && !apiequality.Semantic.DeepEqual(spec(o), spec(was)) {
		o.SetGeneration(was.GetGeneration() + 1)
	}
}

func (s strategy[T]) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	if s.kind.validate == nil {
		return nil
	}
	return s.kind.validate(obj.(T))
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

func (s strategy[T]) WarningsOnUpdate(ctx context.Context, obj, _ runtime.Object) []string {
	return s.WarningsOnCreate(ctx, obj)
}

func (s strategy[T]) GetResetFields() fieldSets {
	if !s.kind.hasStatus {
		return nil
	}
	return s.resets("status")
}

func (s strategy[T]) resets(paths ...any) fieldSets {
	set := fieldpath.NewSet()
	for _, p := range paths {
		set.Insert(fieldpath.MakePathOrDie(p))
	}
	return fieldSets{fieldpath.APIVersion(s.kind.gv.String()): set}
}

// gracefulStrategy is the delete strategy of a kind whose objects are given
// time to end.
type gracefulStrategy[T object] struct {
	strategy[T]
}

func (s gracefulStrategy[T]) CheckGracefulDelete(_ context.Context, obj runtime.Object, o *metav1.DeleteOptions) bool {
	return s.kind.grace(obj.(T), o)
}

// statusStrategy is the update strategy of the status subresource: everything
// may change but spec, the owners and the time of deletion.
type statusStrategy[T object] struct {
	strategy[T]
}

func (s statusStrategy[T]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	o, was := obj.(T), old.(T)
	part(o, "Spec").Set(part(was, "Spec"))
	o.SetOwnerReferences(was.GetOwnerReferences())
	o.SetDeletionTimestamp(was.GetDeletionTimestamp())
	if s.kind.prepareStatus != nil {
		s.kind.prepareStatus(o, was)
	}
}

func (s statusStrategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	if s.kind.validateStatus == nil {
		return nil
	}
	return s.kind.validateStatus(obj.(T), old.(T))
}

// WarningsOnUpdate is silent: a writer of status did not write the spec.
func (s statusStrategy[T]) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (s statusStrategy[T]) GetResetFields() fieldSets { return s.resets("spec") }

// part returns the Spec or Status of an object: by convention every kind that
// has one gives it this name.
func part(obj runtime.Object, name string) reflect.Value {
	return reflect.ValueOf(obj).Elem().FieldByName(name)
}

func spec(obj runtime.Object) any { return part(obj, "Spec").Interface() }
