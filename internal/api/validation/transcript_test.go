package validation_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/api/validation"
)

// TestTranscripts runs the files in testdata/verdicts, each a conversation:
//
//	object   the YAML of an object, which the following commands change
//	create   a strategic patch of it; the answer to creating the result
//	update   a patch; the answer to changing the object that way
//	status, ephemeral, finalize   the same through a subresource
//	v1create, v1update            the same for events of events.k8s.io/v1
//
// The answer is "ok", or one line for each fault. A pod or a node that is
// updated has the defaults, as it would in the store. Rewrite the answers with
// -rewrite, and commit only what you understand.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/verdicts", func(t *testing.T, path string) {
		var object []byte
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "object" {
				object = toJSON(t, d.Input)
				return answer(judge(build(t, object, nil)))
			}
			if object == nil {
				d.Fatalf(t, "no object to change")
			}
			patch := toJSON(t, d.Input)
			changed := build(t, object, patch)
			if d.Cmd == "create" {
				return answer(judge(changed))
			}
			if d.Cmd == "v1create" {
				return answer(validation.EventsV1Event(changed.(*corev1.Event)))
			}
			update := updates[d.Cmd+" "+reflect.TypeOf(changed).Elem().Name()]
			if update == nil {
				d.Fatalf(t, "%T has no %s", changed, d.Cmd)
			}
			old := build(t, object, nil)
			return answer(update(stored(changed), stored(old)))
		})
	})
}

func toJSON(t *testing.T, text string) []byte {
	t.Helper()
	data, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return data
}

// build patches an object, decodes it strictly and completes it.
func build(t *testing.T, object, patch []byte) runtime.Object {
	t.Helper()
	var meta metav1.TypeMeta
	if err := json.Unmarshal(object, &meta); err != nil {
		t.Fatal(err)
	}
	empty, err := scheme.New(meta.GroupVersionKind())
	if err != nil {
		t.Fatal(err)
	}
	if len(patch) > 0 && string(patch) != "null" {
		if object, err = strategicpatch.StrategicMergePatch(object, patch, empty); err != nil {
			t.Fatal(err)
		}
	}
	built, err := decode(object, true)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	return built
}

// stored gives an object what the store would have given it.
func stored(obj runtime.Object) runtime.Object {
	meta := obj.(metav1.Object)
	if meta.GetResourceVersion() == "" {
		meta.SetResourceVersion("1")
	}
	if meta.GetNamespace() == "" && !isClusterScoped(obj) {
		meta.SetNamespace("default")
	}
	return obj
}

func isClusterScoped(obj runtime.Object) bool {
	for _, c := range creations {
		if reflect.TypeOf(c.of) == reflect.TypeOf(obj) {
			return c.cluster
		}
	}
	return false
}

func answer(errs field.ErrorList) string {
	if len(errs) == 0 {
		return "ok\n"
	}
	return lines(errs) + "\n"
}

func change[T any, P interface {
	*T
	runtime.Object
}](fn func(now, was P) field.ErrorList) func(now, was runtime.Object) field.ErrorList {
	return func(now, was runtime.Object) field.ErrorList { return fn(now.(P), was.(P)) }
}

// updates are all the functions that judge a change, by command and kind.
var updates = map[string]func(now, was runtime.Object) field.ErrorList{
	"update ClusterRole":           change(validation.ClusterRoleUpdate),
	"update ClusterRoleBinding":    change(validation.ClusterRoleBindingUpdate),
	"update ConfigMap":             change(validation.ConfigMapUpdate),
	"update ControllerRevision":    change(validation.ControllerRevisionUpdate),
	"update DaemonSet":             change(validation.DaemonSetUpdate),
	"update Event":                 change(validation.EventUpdate),
	"update Lease":                 change(validation.LeaseUpdate),
	"update Namespace":             change(validation.NamespaceUpdate),
	"update Node":                  change(validation.NodeUpdate),
	"update Pod":                   change(validation.PodUpdate),
	"update PodDisruptionBudget":   change(validation.PodDisruptionBudgetUpdate),
	"update PodTemplate":           change(validation.PodTemplateUpdate),
	"update PriorityClass":         change(validation.PriorityClassUpdate),
	"update ReplicaSet":            change(validation.ReplicaSetUpdate),
	"update ReplicationController": change(validation.ReplicationControllerUpdate),
	"update ResourceQuota":         change(validation.ResourceQuotaUpdate),
	"update Role":                  change(validation.RoleUpdate),
	"update RoleBinding":           change(validation.RoleBindingUpdate),
	"update RuntimeClass":          change(validation.RuntimeClassUpdate),
	"update Secret":                change(validation.SecretUpdate),
	"update Service":               change(validation.ServiceUpdate),
	"update ServiceAccount":        change(validation.ServiceAccountUpdate),

	"status DaemonSet":             change(validation.DaemonSetStatusUpdate),
	"status Namespace":             change(validation.NamespaceStatusUpdate),
	"status Node":                  change(validation.NodeStatusUpdate),
	"status Pod":                   change(validation.PodStatusUpdate),
	"status PodDisruptionBudget":   change(validation.PodDisruptionBudgetStatusUpdate),
	"status ReplicaSet":            change(validation.ReplicaSetStatusUpdate),
	"status ReplicationController": change(validation.ReplicationControllerStatusUpdate),
	"status ResourceQuota":         change(validation.ResourceQuotaStatusUpdate),
	"status Service":               change(validation.ServiceStatusUpdate),

	"ephemeral Pod":      change(validation.PodEphemeralContainersUpdate),
	"finalize Namespace": change(validation.NamespaceFinalizeUpdate),

	"v1update Event": change(validation.EventsV1EventUpdate),
}

func TestBinding(t *testing.T) {
	for _, tc := range []struct {
		target corev1.ObjectReference
		want   string
	}{
		{corev1.ObjectReference{Kind: "Node", Name: "w-1"}, "ok\n"},
		{corev1.ObjectReference{Name: "w-1"}, "ok\n"},
		{corev1.ObjectReference{Kind: "Pod"}, "target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\"\ntarget.name: Required value\n"},
	} {
		if got := answer(validation.Binding(&corev1.Binding{Target: tc.target})); got != tc.want {
			t.Errorf("%s: got %q, want %q", fmt.Sprint(tc.target), got, tc.want)
		}
	}
}
