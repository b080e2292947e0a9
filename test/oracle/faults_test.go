package oracle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/garrison-project/garrison/internal/api"
	"github.com/garrison-project/garrison/internal/api/validation"
)

// fault is one object with one thing changed, and what upstream says to it.
type fault struct {
	Kind    string
	Path    []any // keys, and indices into lists
	Value   any
	Removed bool
	Errors  []string
}

// TestValidationAgreesWithUpstream breaks the objects in testdata/manifests one
// field at a time.
func TestValidationAgreesWithUpstream(t *testing.T) {
	objects := loadManifests(t)
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
		got, err := judge(objects[f.Kind], f)
		if err != nil {
			t.Errorf("%s %s: %v", f.Kind, describePath(f), err)
			wrong[f.Kind]++
			continue
		}
		if !slices.Equal(got, f.Errors) {
			wrong[f.Kind]++
			t.Errorf("%s %s\n got %s\nwant %s", f.Kind, describePath(f), indented(got), indented(f.Errors))
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

// judge applies a change and returns our errors, after our defaults.
func judge(object *unstructured.Unstructured, f fault) ([]string, error) {
	changed := object.DeepCopy()
	if len(f.Path) > 0 {
		changed.Object = change(changed.Object, f.Path, f).(map[string]any)
	}
	data, err := changed.MarshalJSON()
	if err != nil {
		return nil, err
	}
	decoded, _, err := api.Codecs.UniversalDecoder(object.GroupVersionKind().GroupVersion()).Decode(data, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return describeErrors(validate(decoded)), nil
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
		all = append(all, strings.TrimSuffix(fmt.Sprintf("%s: %s: %s", e.Field, e.Type, e.Detail), ": "))
	}
	slices.Sort(all)
	return all
}

func validate(object runtime.Object) field.ErrorList {
	switch o := object.(type) {
	case *corev1.ConfigMap:
		return validation.ConfigMap(o)
	case *appsv1.ControllerRevision:
		return validation.ControllerRevision(o)
	case *appsv1.DaemonSet:
		return validation.DaemonSet(o)
	case *coordinationv1.Lease:
		return validation.Lease(o)
	case *corev1.LimitRange:
		return validation.LimitRange(o)
	case *corev1.Namespace:
		return validation.Namespace(o)
	case *corev1.Node:
		return validation.Node(o)
	case *corev1.Pod:
		return validation.Pod(o)
	case *policyv1.PodDisruptionBudget:
		return validation.PodDisruptionBudget(o)
	case *schedulingv1.PriorityClass:
		return validation.PriorityClass(o)
	case *appsv1.ReplicaSet:
		return validation.ReplicaSet(o)
	case *corev1.ResourceQuota:
		return validation.ResourceQuota(o)
	case *nodev1.RuntimeClass:
		return validation.RuntimeClass(o)
	case *corev1.Secret:
		return validation.Secret(o)
	case *corev1.Service:
		return validation.Service(o)
	case *corev1.ServiceAccount:
		return validation.ServiceAccount(o)
	default:
		panic(fmt.Sprintf("nothing validates %T", object))
	}
}

func loadManifests(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	paths, err := filepath.Glob("testdata/manifests/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		for {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			objects[object.GetKind()] = object
		}
	}
	return objects
}
