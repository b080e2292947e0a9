package kinds

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// part is a subresource that shows the whole object but writes only a part of
// it, such as status.
type part[T object] struct {
	name string
	// prepare puts back what the subresource must not change.
	prepare  func(obj, old T)
	validate func(obj, old T) field.ErrorList
	// owned passes the fields that server-side apply may own here.
	owned fieldpath.Filter
	// writesSpec says that the part is of spec, so that a change of it counts.
	writesSpec bool
	// putOnly leaves out get and patch.
	putOnly bool
}

// statusPart is the status subresource: everything may change but spec, the
// owners and the time of deletion.
func (k kind[T]) statusPart() part[T] {
	return part[T]{
		name: "status",
		prepare: func(obj, old T) {
			section(obj, "Spec").Set(section(old, "Spec"))
			obj.SetOwnerReferences(old.GetOwnerReferences())
			obj.SetDeletionTimestamp(old.GetDeletionTimestamp())
			if k.prepareStatus != nil {
				k.prepareStatus(obj, old)
			}
		},
		validate: k.validateStatus,
		owned: fieldpath.NewExcludeSetFilter(fieldpath.NewSet(
			fieldpath.MakePathOrDie("spec"),
			fieldpath.MakePathOrDie("metadata", "deletionTimestamp"),
			fieldpath.MakePathOrDie("metadata", "ownerReferences"))),
	}
}

// addPart serves p and returns the store through which it is written.
func (k kind[T]) addPart(s *Set, main *genericregistry.Store, p part[T]) *genericregistry.Store {
	store := *main
	store.UpdateStrategy = partStrategy[T]{k.strategy(), p}
	put := putREST{store: &store, owned: map[fieldpath.APIVersion]fieldpath.Filter{k.apiVersion(): p.owned}}
	if p.putOnly {
		s.add(k.gv, k.name+"/"+p.name, &put)
	} else {
		s.add(k.gv, k.name+"/"+p.name, &partREST{put})
	}
	return &store
}

// partStrategy is the update strategy of a part.
type partStrategy[T object] struct {
	strategy[T]
	part part[T]
}

func (s partStrategy[T]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	o, was := obj.(T), old.(T)
	s.part.prepare(o, was)
	if s.part.writesSpec {
		s.countChange(o, was)
	}
}

func (s partStrategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	if s.part.validate == nil {
		return nil
	}
	return s.part.validate(obj.(T), old.(T))
}

// putREST serves a part that can only be replaced.
type putREST struct {
	store *genericregistry.Store
	owned map[fieldpath.APIVersion]fieldpath.Filter
}

func (r *putREST) New() runtime.Object { return r.store.New() }

// Destroy does nothing: the main resource owns the store.
func (r *putREST) Destroy() {}

// Update changes an object that exists; it never creates one.
func (r *putREST) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, obj, create, update, false, o)
}

func (r *putREST) GetResetFieldsFilter() map[fieldpath.APIVersion]fieldpath.Filter { return r.owned }

// partREST serves a part that can also be read and patched.
type partREST struct {
	putREST
}

var (
	_ rest.Updater                   = &putREST{}
	_ rest.ResetFieldsFilterStrategy = &putREST{}
	_ rest.Patcher                   = &partREST{}
	_ rest.TableConvertor            = &partREST{}
)

func (r *partREST) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, o)
}

func (r *partREST) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, obj, options)
}
