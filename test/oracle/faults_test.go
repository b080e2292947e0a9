package oracle

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/garrison-project/garrison/internal/api"
)

// fault is one object with one thing changed, and what upstream says to it.
type fault struct {
	Kind    string
	Path    []any // keys, and indices into lists
	Value   any
	Removed bool
	Errors  []string
	// UpdateErrors are those for an update from the object as it was, if
	// Updated says that there is an answer.
	UpdateErrors []string
	Updated      bool
}

// TestValidationAgreesWithUpstream breaks the objects in testdata/manifests one
// field at a time.
func TestValidationAgreesWithUpstream(t *testing.T) {
	objects := map[string]*unstructured.Unstructured{}
	for _, object := range load(t, "testdata/manifests") {
		objects[object.GetKind()] = object
	}
	file, err := os.Open("testdata/faults.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	wrong, total := map[string]int{}, map[string]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var f fault
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		total[f.Kind]++
		created, updated, err := judge(objects[f.Kind], f)
		if err != nil {
			t.Fatalf("%s %s: %v", f.Kind, describePath(f), err)
		}
		if !slices.Equal(created, f.Errors) {
			wrong[f.Kind]++
			t.Errorf("create %s %s\n got %s\nwant %s", f.Kind, describePath(f), indented(created), indented(f.Errors))
		}
		if f.Updated && !slices.Equal(updated, f.UpdateErrors) {
			wrong[f.Kind]++
			t.Errorf("update %s %s\n got %s\nwant %s", f.Kind, describePath(f), indented(updated), indented(f.UpdateErrors))
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for kind := range objects {
		if total[kind] == 0 {
			t.Errorf("upstream was not asked about %s", kind)
		}
		if wrong[kind] > 0 {
			t.Logf("%s: %d of %d answers differ", kind, wrong[kind], total[kind])
		}
	}
}

func describePath(f fault) string {
	var path strings.Builder
	for _, step := range f.Path {
		switch s := step.(type) {
		case string:
			path.WriteString("." + s)
		case float64:
			fmt.Fprintf(&path, "[%d]", int(s))
		}
	}
	if f.Removed {
		return strings.TrimPrefix(path.String(), ".") + " removed"
	}
	value, _ := json.Marshal(f.Value) // it came from JSON
	return strings.TrimPrefix(path.String(), ".") + " = " + string(value)
}

func indented(lines []string) string {
	if len(lines) == 0 {
		return "no errors"
	}
	return strings.Join(lines, "\n     ")
}

// judge applies a change and returns our errors, after our defaults: for the
// changed object when it is new, and for an update to it.
func judge(object *unstructured.Unstructured, f fault) (created, updated []string, err error) {
	changed := object.DeepCopy()
	if len(f.Path) > 0 {
		changed.Object = change(changed.Object, f.Path, f).(map[string]any)
	}
	old, err := decode(object, object)
	if err != nil {
		return nil, nil, err
	}
	obj, err := decode(object, changed)
	if err != nil {
		return nil, nil, err
	}
	return describeErrors(validate(obj)), describeErrors(validateUpdate(obj, old)), nil
}

// decode makes a typed and defaulted object of a changed one, which may have
// lost its kind, and gives it the version that updates need.
func decode(object, changed *unstructured.Unstructured) (runtime.Object, error) {
	gvk := object.GroupVersionKind()
	changed = changed.DeepCopy()
	changed.SetGroupVersionKind(gvk)
	changed.SetResourceVersion("1")
	data, err := changed.MarshalJSON()
	if err != nil {
		return nil, err
	}
	decoded, _, err := api.Codecs.UniversalDecoder(gvk.GroupVersion()).Decode(data, nil, nil)
	return decoded, err
}

func change(value any, path []any, f fault) any {
	set := func(old any) any {
		if len(path) > 1 {
			return change(old, path[1:], f)
		}
		return runtime.DeepCopyJSONValue(f.Value)
	}
	switch v := value.(type) {
	case map[string]any:
		key := path[0].(string)
		if f.Removed && len(path) == 1 {
			delete(v, key)
		} else {
			v[key] = set(v[key])
		}
		return v
	case []any:
		i := int(path[0].(float64))
		if f.Removed && len(path) == 1 {
			return slices.Delete(v, i, i+1)
		}
		v[i] = set(v[i])
		return v
	default:
		panic(fmt.Sprintf("no such path: %v", path))
	}
}

func describeErrors(errs field.ErrorList) []string {
	all := []string{}
	for _, e := range errs {
		detail, _, _ := strings.Cut(e.Detail, "\n")
		all = append(all, strings.TrimSuffix(fmt.Sprintf("%s: %s: %s", e.Field, e.Type, detail), ": "))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
