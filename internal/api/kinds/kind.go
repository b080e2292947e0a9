package kinds

import (
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
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/garrison-project/garrison/internal/api"
	"github.com/garrison-project/garrison/internal/api/tables"
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
	gv          schema.GroupVersion
	name        string         // plural, as in URLs
	obj         T              // an empty object
	list        runtime.Object // an empty list
	shortNames  []string
	categories  []string
	cluster     bool // cluster-scoped
	hasStatus   bool // status is written through /status, and only there
	keepsStatus bool // the status given on create stays
	generation  bool // metadata.generation counts the changes of spec

	// conditional demands a resourceVersion in every update; createOnUpdate
	// lets a PUT create.
	conditional    bool
	createOnUpdate bool
	// gc is what becomes of dependents on a delete that does not say; empty
	// means that they are deleted.
	gc rest.GarbageCollectionPolicy
	// returnsDeleted answers a delete with the object instead of a Status.
	returnsDeleted bool
	// ttl is how many seconds an object is kept, 0 for ever.
	ttl uint64

	rules[T]
	// parts are further subresources that write a part of the object.
	parts []part[T]

	// selectable returns the fields beyond metadata by which the kind can be
	// selected (package api lists their names). indexed is the one of them
	// that lists and watches are indexed by, and indexedValue reads it.
	selectable   func(T) fields.Set
	indexed      string
	indexedValue func(T) string

	// faces are further groups that show the same objects.
	faces []face[T]
	// adjust makes the last changes to the store before it is completed.
	adjust func(*genericregistry.Store)
	// serve makes what is served of the finished storage, by default the
	// storage itself.
	serve func(*REST) rest.Storage
}

// rules are the parts of a strategy that differ from kind to kind; any may be
// nil. Prepare functions change their first argument and nothing else, and the
// rest change nothing.
type rules[T object] struct {
	prepareCreate func(obj T)
	prepareUpdate func(obj, old T)
	prepareStatus func(obj, old T)

	validate       func(obj T) field.ErrorList
	validateUpdate func(obj, old T) field.ErrorList
	validateStatus func(obj, old T) field.ErrorList

	// warn tells the creator of an object what it may not have meant.
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

func (k kind[T]) apiVersion() fieldpath.APIVersion { return fieldpath.APIVersion(k.gv.String()) }

func (k kind[T]) singular() string {
	return strings.ToLower(reflect.TypeOf(k.obj).Elem().Name())
}

// install builds the stores of the kind and serves them.
func (k kind[T]) install(s *Set, o Options) error {
	store, err := k.store(o)
	if err != nil {
		return err
	}
	s.main[k.resource()] = store
	var served rest.Storage = &REST{Store: store, shortNames: k.shortNames, categories: k.categories}
	if k.serve != nil {
		served = k.serve(served.(*REST))
	}
	s.add(k.gv, k.name, served)
	for _, f := range k.faces {
		k.addFace(s, store, f)
	}
	if k.hasStatus {
		s.status[k.resource()] = k.addPart(s, store, k.statusPart())
	}
	for _, p := range k.parts {
		k.addPart(s, store, p)
	}
	return nil
}

// face is another group version that serves the objects of a kind, from the
// same storage but by rules of its own.
type face[T object] struct {
	gv schema.GroupVersion
	rules[T]
}

func (k kind[T]) addFace(s *Set, main *genericregistry.Store, f face[T]) {
	k.gv, k.rules = f.gv, f.rules
	st := k.strategy()
	store := *main
	store.DefaultQualifiedResource = k.resource()
	store.SingularQualifiedResource.Group = f.gv.Group
	store.CreateStrategy, store.UpdateStrategy, store.DeleteStrategy, store.ResetFieldsStrategy = st, st, st, st
	s.main[k.resource()] = &store
	s.add(f.gv, k.name, &REST{Store: &store, shortNames: k.shortNames, categories: k.categories})
}

func (k kind[T]) strategy() strategy[T] {
	return strategy[T]{ObjectTyper: api.Scheme, NameGenerator: names.SimpleNameGenerator, kind: k}
}

func (k kind[T]) store(o Options) (*genericregistry.Store, error) {
	st := k.strategy()
	store := &genericregistry.Store{
		NewFunc:                   k.new,
		NewListFunc:               k.newList,
		DefaultQualifiedResource:  k.resource(),
		SingularQualifiedResource: schema.GroupResource{Group: k.gv.Group, Resource: k.singular()},
		PredicateFunc:             k.predicate,
		CreateStrategy:            st,
		UpdateStrategy:            st,
		DeleteStrategy:            st,
		ResetFieldsStrategy:       st,
		ReturnDeletedObject:       k.returnsDeleted,
		TableConvertor:            tables.For(k.resource()),
	}
	if k.grace != nil {
		store.DeleteStrategy = gracefulStrategy[T]{st}
	}
	if k.ttl != 0 {
		store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return k.ttl, nil }
	}
	if k.adjust != nil {
		k.adjust(store)
	}
	options := &generic.StoreOptions{RESTOptions: o.RESTOptions, AttrFunc: k.attrs}
	if k.indexed != "" {
		options.TriggerFunc = k.triggers()
		options.Indexers = k.indexers()
	}
	return store, store.CompleteWithOptions(options)
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

func (k kind[T]) predicate(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	p := storage.SelectionPredicate{Label: label, Field: field, GetAttrs: k.attrs}
	if k.indexed != "" {
		p.IndexFields = []string{k.indexed}
	}
	return p
}

// triggers lets the watch cache wake only the watchers that asked for the
// object's value of the indexed field.
func (k kind[T]) triggers() storage.IndexerFuncs {
	return storage.IndexerFuncs{k.indexed: func(obj runtime.Object) string { return k.indexedValue(obj.(T)) }}
}

func (k kind[T]) indexers() *cache.Indexers {
	return &cache.Indexers{
		storage.FieldIndex(k.indexed): func(obj any) ([]string, error) {
			return []string{k.indexedValue(obj.(T))}, nil
		},
	}
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
