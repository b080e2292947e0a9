package validation

import (
	"encoding/json"

	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ControllerRevision checks a new revision: its data is a JSON object.
func ControllerRevision(r *appsv1.ControllerRevision) field.ErrorList {
	f := faults{list: revision(r)}
	at := field.NewPath("data")
	if r.Data.Raw == nil && r.Data.Object == nil {
		f.required(at, "data is mandatory")
		return f.list
	}
	if r.Data.Raw == nil {
		return f.list // an object is one
	}
	var data any
	err := json.Unmarshal(r.Data.Raw, &data)
	_, isObject := data.(map[string]any)
	switch {
	case err != nil:
		f.invalid(at, "<value omitted>", "error parsing data: "+err.Error())
	case data == nil:
		f.required(at, "data is mandatory")
	case !isObject:
		f.required(at, "data must be a valid JSON object")
	}
	return f.list
}

// ControllerRevisionUpdate checks a changed revision: its number may change,
// its data may not.
func ControllerRevisionUpdate(r, old *appsv1.ControllerRevision) field.ErrorList {
	f := faults{list: metaUpdate(&r.ObjectMeta, &old.ObjectMeta)}
	f.add(revision(r)...)
	f.add(unchanged(r.Data, old.Data, field.NewPath("data"))...)
	return f.list
}

func revision(r *appsv1.ControllerRevision) field.ErrorList {
	f := faults{list: namespaced(&r.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	f.nonNegative(field.NewPath("revision"), r.Revision)
	return f.list
}
