package server

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	genericapi "k8s.io/apiserver/pkg/endpoints"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	openapiutil "k8s.io/kube-openapi/pkg/util"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// typeConverter gives objects the types of the API's schemas, for the managed fields
// that a request computes with every write. It does not validate objects of Go types:
// to decode them was that, and to walk over all their fields a twentieth of a write.
type typeConverter struct {
	managedfields.TypeConverter
	kinds sync.Map // of schema.GroupVersionKind: kindType
}

// kindType is the type of a kind.
type kindType struct {
	schema *schema.Schema
	ref    schema.TypeRef
}

// newTypeConverter returns a type converter for the kinds of the groups.
func newTypeConverter(config *common.OpenAPIV3Config, groups []*genericapiserver.APIGroupInfo) (*typeConverter, error) {
	names, err := modelNames(groups)
	if err != nil {
		return nil, err
	}
	models, err := builder3.BuildOpenAPIDefinitionsForResources(config, names...)
	if err != nil {
		return nil, err
	}
	validating, err := managedfields.NewTypeConverter(models, false)
	if err != nil {
		return nil, err
	}
	return &typeConverter{TypeConverter: validating}, nil
}

// modelNames are the names of the schemas of all resources.
func modelNames(groups []*genericapiserver.APIGroupInfo) ([]string, error) {
	var names []string
	for _, group := range groups {
		for _, gv := range group.PrioritizedVersions {
			for _, storage := range group.VersionedResourcesStorageMap[gv.Version] {
				kind, err := genericapi.GetResourceKind(gv, storage, group.Scheme)
				if err != nil {
					return nil, err
				}
				obj, err := group.Scheme.New(kind)
				if err != nil {
					return nil, err
				}
				names = append(names, openapiutil.GetCanonicalTypeName(obj))
			}
		}
	}
	return names, nil
}

// ObjectToTyped validates what has no Go type and what must not have an item twice,
// such as an object that a client applies. What else can be wrong, such as an item
// without its key, is found when objects are compared.
func (c *typeConverter) ObjectToTyped(obj runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if _, untyped := obj.(runtime.Unstructured); untyped || !slices.Contains(options, typed.AllowDuplicates) {
		return c.TypeConverter.ObjectToTyped(obj, options...)
	}
	growStack[compareRoom]() // of this goroutine, which nobody else can reach
	kind := obj.GetObjectKind().GroupVersionKind()
	held, ok := c.kinds.Load(kind)
	if !ok { // the first of its kind
		checked, err := c.TypeConverter.ObjectToTyped(obj, options...)
		if err == nil {
			c.kinds.Store(kind, kindType{checked.Schema(), checked.TypeRef()})
		}
		return checked, err
	}
	v, err := value.NewValueReflect(obj)
	if err != nil {
		return nil, err
	}
	t := held.(kindType)
	//lint:ignore SA1019 it is deprecated because validating became cheap; not cheap enough, see above
	return typed.AsTypedUnvalidated(v, t.schema, t.ref), nil
}
