package kinds

import (
	"context"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/api"
)

// object is a pointer to an API type.
type object interface {
	runtime.Object
	metav1.Object
}

// entry is a row of the table.
type entry interface {
	resource() schema.GroupResource
	install(*Set, Options) error
}

// kind describes one stored resource whose Go type is T, say *corev1.Pod. The
// zero value of each field is the common case; obj and list are required.
type kind[T object] struct {
	gv         schema.GroupVersion
	name       string         // plural, as in URLs
	obj        T              // an empty object
	list       runtime.Object // an empty list
	shortNames []string
	categories []string
	cluster    bool // cluster-scoped
	hasStatus  bool // status is written through /status, and only there
	generation bool // metadata.generation counts the changes of spec

	// conditional demands a resourceVersion in every update; createOnUpdate
	// lets a PUT create.
	conditional    bool
	createOnUpdate bool
	// gc is what becomes of dependents on a delete that does not say.
	gc rest.GarbageCollectionPolicy

	rules[T]

	// selectable returns the fields beyond metadata by which the kind can be
	// selected (package api lists their names).
	selectable func(T) fields.Set
	// indexed names selectable fields that watches and lists are indexed by.
	indexed []string
	// ttl is how many seconds an object is kept, 0 for ever.
	ttl uint64
	// alsoServed are further groups that show the same objects.
	alsoServed []schema.GroupVersion
	// finish makes the last changes to the store, before it is completed.
	finish func(*genericregistry.Store)
}

// rules are the parts of a strategy that differ from kind to kind. Any may be
// nil. The functions that take no context are pure, but for prepare functions
// changing their first argument.
type rules[T object] struct {
	prepareCreate func(obj T)
	prepareUpdate func(obj, old T)
	prepareStatus func(obj, old T)

	validate       func(obj T) field.ErrorList
	validateUpdate func(obj, old T) field.ErrorList
	validateStatus func(obj, old T) field.ErrorList

	warn func(obj T) []string
	// grace decides whether a delete is graceful, and sets its period.
	grace func(obj T, options *metav1.DeleteOptions) bool
}

func (k kind[T]) resource() schema.GroupResource {
	return k.gv.WithResource(k.name).GroupResource()
}

func (k kind[T]) new() runtime.Object {
	return reflect.New(reflect.TypeOf(k.obj).Elem()).Interface().(runtime.Object)
}

func (k kind[T]) newList() runtime.Object {
	return reflect.New(reflect.TypeOf(k.list).Elem()).Interface().(runtime.Object)
}

func (k kind[T]) singular() string {
	return strings.ToLower(reflect.TypeOf(k.obj).Elem().Name())
}

// install builds the stores of the kind and serves them.
func (k kind[T]) install(s *Set, o Options) error {
	store, err := k.store(o)
	if err != nil {
		return err
	}
	r := &REST{Store: store, shortNames: k.shortNames, categories: k.categories}
	s.main[k.resource()] = store
	for _, gv := range append([]schema.GroupVersion{k.gv}, k.alsoServed...) {
		s.add(gv, k.name, r)
	}
	if !k.hasStatus {
		return nil
	}
	status := *store
	st := statusStrategy[T]{strategy[T]{kind: k, ObjectTyper: api.Scheme}}
	status.UpdateStrategy, status.ResetFieldsStrategy = st, st
	s.status[k.resource()] = &status
	s.add(k.gv, k.name+"/status", &statusREST{store: &status})
	return nil
}

func (k kind[T]) store(o Options) (*genericregistry.Store, error) {
	st := newStrategy(k)
	store := &genericregistry.Store{
		NewFunc:                   k.new,
		NewListFunc:               k.newList,
		DefaultQualifiedResource:  k.resource(),
		SingularQualifiedResource: schema.GroupResource{Group: k.gv.Group, Resource: k.singular()},
		CreateStrategy:            st,
		UpdateStrategy:            st,
		DeleteStrategy:            st,
		ResetFieldsStrategy:       st,
		TableConvertor:            rest.NewDefaultTableConvertor(k.resource()),
	}
	if k.grace != nil {
		store.DeleteStrategy = gracefulStrategy[T]{st}
	}
	if k.ttl != 0 {
		store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return k.ttl, nil }
	}
	if k.finish != nil {
		k.finish(store)
	}
	err := store.CompleteWithOptions(&generic.StoreOptions{
		RESTOptions: o.RESTOptions,
		AttrFunc:    k.attrs,
		TriggerFunc: k.triggers(),
		Indexers:    k.indexers(),
	})
	return store, err
}

// attrs returns what selectors see of an object.
func (k kind[T]) attrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	o := obj.(T)
	set := fields.Set{}
	if k.selectable != nil {
		set = k.selectable(o)
	}
	set["metadata.name"] = o.GetName()
	if !k.cluster {
		set["metadata.namespace"] = o.GetNamespace()
	}
	return o.GetLabels(), set, nil
}

// triggers lets the watch cache wake only the watchers that ask for an
// object's own value of an indexed field. The cache supports one field.
func (k kind[T]) triggers() storage.IndexerFuncs {
	if len(k.indexed) == 0 {
		return nil
	}
	name := k.indexed[0]
	return storage.IndexerFuncs{name: func(obj runtime.Object) string { return k.selectable(obj.(T))[name] }}
}

func (k kind[T]) indexers() *cache.Indexers {
	if len(k.indexed) == 0 {
		return nil
	}
	out := cache.Indexers{}
	for _, name := range k.indexed {
		out[storage.FieldIndex(name)] = func(obj any) ([]string, error) {
			return []string{k.selectable(obj.(T))[name]}, nil
		}
	}
	return &out
}

// REST serves a kind.
type REST struct {
	*genericregistry.Store
	shortNames []string
	categories []string
}

// ShortNames are the abbreviations kubectl accepts.
func (r *REST) ShortNames() []string { return r.shortNames }

// Categories are the groups of resources this one belongs to, such as "all".
func (r *REST) Categories() []string { return r.categories }

// statusREST serves the status subresource of a kind.
type statusREST struct {
	store *genericregistry.Store
}

var (
	_ rest.Patcher             = &statusREST{}
	_ rest.ResetFieldsStrategy = &statusREST{}
	_ rest.TableConvertor      = &statusREST{}
)

func (r *statusREST) New() runtime.Object { return r.store.New() }

// Destroy does nothing: the main storage owns the store.
func (r *statusREST) Destroy() {}

func (r *statusREST) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, o)
}

// Update changes the status of an object that exists; it never creates one.
func (r *statusREST) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, obj, create, update, false, o)
}

func (r *statusREST) GetResetFields() fieldSets { return r.store.GetResetFields() }

func (r *statusREST) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, obj, options)
}
