package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	"k8s.io/kubernetes/pkg/capabilities"
	"k8s.io/kubernetes/pkg/registry/apps/controllerrevision"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/coordination/lease"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/node"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/resourcequota"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/node/runtimeclass"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
)

var strategies = map[string]rest.RESTCreateUpdateStrategy{
	"ConfigMap":           configmap.Strategy,
	"ControllerRevision":  controllerrevision.Strategy,
	"DaemonSet":           daemonset.Strategy,
	"Lease":               lease.Strategy,
	"LimitRange":          limitrange.Strategy,
	"Namespace":           namespace.Strategy,
	"Node":                node.Strategy,
	"Pod":                 pod.Strategy,
	"PodDisruptionBudget": poddisruptionbudget.Strategy,
	"PriorityClass":       priorityclass.Strategy,
	"ReplicaSet":          replicaset.Strategy,
	"ResourceQuota":       resourcequota.Strategy,
	"RuntimeClass":        runtimeclass.Strategy,
	"Secret":              secret.Strategy,
	"Service":             service.Strategy,
	"ServiceAccount":      serviceaccount.Strategy,
}

// fault is one object with one thing changed, and what upstream says.
type fault struct {
	Kind string `json:"kind"`
	// Path leads to what was changed: keys, and indices into lists. Empty: the
	// object as it is.
	Path []any `json:"path"`
	// Value is what was put there; Removed says that the field was taken out.
	Value   any  `json:"value,omitempty"`
	Removed bool `json:"removed,omitempty"`
	// Errors are field, type and detail of each error, sorted, when the object
	// is created; UpdateErrors when the object as it was is updated to it, if
	// such a request can come as far, which Updated says.
	Errors       []string `json:"errors"`
	UpdateErrors []string `json:"updateErrors,omitempty"`
	Updated      bool     `json:"updated,omitempty"`
}

// writeFaults breaks every object of the manifests in every way, and writes what
// upstream's strategies say to each.
func writeFaults(manifests, path string) error {
	capabilities.Setup(true, 0) // privileged containers are allowed
	objects, err := load(manifests)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	for _, object := range objects {
		for _, f := range append([]fault{{}}, changes(object.Object, nil)...) {
			f.Kind = object.GetKind()
			if err = judge(object, &f); errors.Is(err, errNotAsked) {
				continue
			} else if err != nil {
				return fmt.Errorf("%s %v = %v: %w", f.Kind, f.Path, f.Value, err)
			}
			if err := encoder.Encode(f); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(path, lines.Bytes(), 0o644)
}

func load(dir string) ([]*unstructured.Unstructured, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no manifests in %s", dir)
	}
	var objects []*unstructured.Unstructured
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		for {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read %s: %w", path, err)
			}
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// changes lists what can be done to a value and to all that it holds.
func changes(value any, path []any) []fault {
	var all []fault
	put := func(values ...any) {
		for _, v := range values {
			all = append(all, fault{Path: path, Value: v})
		}
	}
	if len(path) > 0 && path[0] != "apiVersion" && path[0] != "kind" {
		all = append(all, fault{Path: path, Removed: true})
	}
	at := func(key any) []any { return append(slices.Clone(path), key) }
	switch v := value.(type) {
	case map[string]any:
		if len(path) > 0 {
			put(map[string]any{})
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if key != "apiVersion" && key != "kind" {
				all = append(all, changes(v[key], at(key))...)
			}
		}
	case []any:
		put([]any{})
		if len(v) > 0 {
			put(append(slices.Clone(v), v[0]))
		}
		for i := range v {
			all = append(all, changes(v[i], at(i))...)
		}
	case string:
		put("", "Not_Valid!", "other", "-5", "150%", strings.Repeat("x", 70))
	case int64:
		put(int64(-1), int64(0), int64(1), int64(70000))
	case float64:
		put(float64(-1), float64(0), float64(1), float64(70000))
	case bool:
		put(!v)
	}
	return all
}

// errNotAsked says that a change never reaches validation.
var errNotAsked = errors.New("not a question for validation")

// judge applies a change and fills in upstream's errors.
func judge(object *unstructured.Unstructured, f *fault) error {
	changed := object.DeepCopy()
	if len(f.Path) > 0 {
		changed.Object = change(changed.Object, f.Path, *f).(map[string]any)
	}
	strategy, found := strategies[f.Kind]
	if !found {
		return fmt.Errorf("no strategy")
	}
	ctx := genericapirequest.WithNamespace(context.Background(), changed.GetNamespace())
	ctx = genericapirequest.WithRequestInfo(ctx, &genericapirequest.RequestInfo{})
	created, err := toInternal(object, changed)
	if err != nil {
		return err
	}
	strategy.PrepareForCreate(ctx, created)
	if named, err := meta.Accessor(created); err != nil || named.GetName() != changed.GetName() {
		return errNotAsked // a LimitRange without a name gets one
	}
	f.Errors = describe(strategy.Validate(ctx, created))

	if changed.GetName() != object.GetName() || changed.GetNamespace() != object.GetNamespace() {
		return nil // the server refuses the request: its address is another
	}
	f.Updated = true
	old, err := toInternal(object, object)
	if err != nil {
		return err
	}
	updated, err := toInternal(object, changed)
	if err != nil {
		return err
	}
	strategy.PrepareForCreate(ctx, old)
	if err := keepGeneration(updated, old); err != nil {
		return err
	}
	strategy.PrepareForUpdate(ctx, updated, old)
	f.UpdateErrors = describe(strategy.ValidateUpdate(ctx, updated, old))
	return nil
}

// keepGeneration does what the storage does before a strategy sees an update.
func keepGeneration(updated, old runtime.Object) error {
	to, err := meta.Accessor(updated)
	if err != nil {
		return err
	}
	from, err := meta.Accessor(old)
	if err != nil {
		return err
	}
	to.SetGeneration(from.GetGeneration())
	return nil
}

// toInternal decodes and defaults a changed object as the object's kind. Updates
// need a version.
func toInternal(object, changed *unstructured.Unstructured) (runtime.Object, error) {
	gvk := object.GroupVersionKind()
	changed = changed.DeepCopy()
	changed.SetGroupVersionKind(gvk)
	changed.SetResourceVersion("1")
	data, err := changed.MarshalJSON()
	if err != nil {
		return nil, err
	}
	internal := schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal}
	decoded, _, err := legacyscheme.Codecs.UniversalDecoder(internal).Decode(data, &gvk, nil)
	if err != nil {
		return nil, errNotAsked
	}
	if s, ok := decoded.(*core.Service); ok && s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP} // as the storage does before it validates
	}
	return decoded, nil
}

// change returns value with f done at the end of path.
func change(value any, path []any, f fault) any {
	switch v := value.(type) {
	case map[string]any:
		key := path[0].(string)
		if len(path) > 1 {
			v[key] = change(v[key], path[1:], f)
		} else if f.Removed {
			delete(v, key)
		} else {
			v[key] = runtime.DeepCopyJSONValue(f.Value)
		}
		return v
	case []any:
		i := path[0].(int)
		if len(path) > 1 {
			v[i] = change(v[i], path[1:], f)
		} else if f.Removed {
			return slices.Delete(v, i, i+1)
		} else {
			v[i] = runtime.DeepCopyJSONValue(f.Value)
		}
		return v
	default:
		panic("no such path: " + strconv.Quote(fmt.Sprint(path)))
	}
}

// describe leaves out the bad values themselves, and the difference that is
// shown below a detail: their text names the types of the module that printed
// them.
func describe(errs field.ErrorList) []string {
	all := []string{}
	for _, e := range errs {
		detail, _, _ := strings.Cut(e.Detail, "\n")
		all = append(all, strings.TrimSuffix(fmt.Sprintf("%s: %s: %s", e.Field, e.Type, detail), ": "))
	}
	slices.Sort(all)
	return slices.Compact(all) // some rules are applied twice
}
