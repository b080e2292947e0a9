package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/garrison-project/garrison/internal/api"
)

// Fields have the managers that they would have if every object were validated.
func TestFieldsAreManagedAsIfValidated(t *testing.T) {
	_, config := bareServer(t)
	ours, err := newTypeConverter(config.OpenAPIV3Config, shared.served.APIGroups())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		kind := appsv1.SchemeGroupVersion.WithKind("DaemonSet")
		got, want := newFieldWriter(t, ours, kind), newFieldWriter(t, ours.TypeConverter, kind)
		for range rapid.IntRange(1, 4).Draw(t, "writes") {
			set, manager := daemonSet(t), rapid.SampledFrom([]string{"kubectl", "controller"}).Draw(t, "manager")
			write := (*fieldWriter).update
			if rapid.Bool().Draw(t, "applied") {
				write = (*fieldWriter).apply
			}
			gotErr, wantErr := write(got, set, manager), write(want, set, manager)
			if !slices.Equal(faults(gotErr), faults(wantErr)) {
				t.Fatalf("error %v, validating %v", gotErr, wantErr)
			}
			if d := diff.Diff(want.fields(), got.fields()); d != "" {
				t.Fatalf("managed fields (- validating, + ours):\n%s", d)
			}
		}
	})
}

// fieldWriter writes an object as the API server does.
type fieldWriter struct {
	manager *managedfields.FieldManager
	live    runtime.Object
}

func newFieldWriter(t *rapid.T, types managedfields.TypeConverter, kind schema.GroupVersionKind) *fieldWriter {
	live, err := api.Scheme.New(kind)
	if err != nil {
		t.Fatal(err)
	}
	manager, err := managedfields.NewDefaultFieldManager(types, api.Scheme, api.Scheme, api.Scheme, kind, kind.GroupVersion(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &fieldWriter{manager, live}
}

func (w *fieldWriter) update(set *appsv1.DaemonSet, manager string) error {
	return w.keep(w.manager.Update(w.live, set.DeepCopy(), manager))
}

func (w *fieldWriter) apply(set *appsv1.DaemonSet, manager string) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(set)
	if err != nil {
		return err
	}
	return w.keep(w.manager.Apply(w.live, &unstructured.Unstructured{Object: content}, manager, true))
}

func (w *fieldWriter) keep(written runtime.Object, err error) error {
	if err == nil {
		w.live = written
	}
	return err
}

// faults are the lines of an error, which come in any order.
func faults(err error) []string {
	lines := strings.Split(fmt.Sprint(err), "\n")
	slices.Sort(lines)
	return lines
}

// fields are the managed fields, without their times.
func (w *fieldWriter) fields() []metav1.ManagedFieldsEntry {
	out := slices.Clone(w.live.(metav1.Object).GetManagedFields())
	for i := range out {
		out[i].Time = nil
	}
	return out
}

// daemonSet is one with lists and maps of every kind, in which items may be twice.
func daemonSet(t *rapid.T) *appsv1.DaemonSet {
	few := func(name string) int { return rapid.IntRange(0, 2).Draw(t, name) }
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	set := &appsv1.DaemonSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: metav1.ObjectMeta{Name: "agent", Labels: map[string]string{pick("label", "a", "b"): pick("value", "", "x")}},
		Spec:       appsv1.DaemonSetSpec{MinReadySeconds: int32(few("seconds")), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}}},
	}
	if rapid.Bool().Draw(t, "rolling") {
		set.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: ptr.To(intstr.FromString(pick("unavailable", "1%", "2%")))}
	}
	pod := &set.Spec.Template.Spec
	for range few("containers") {
		c := corev1.Container{Name: pick("container", "one", "two"), Image: pick("image", "example.org/a", "example.org/b")}
		for range few("ports") {
			c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: 80, Protocol: corev1.Protocol(pick("protocol", "", "TCP", "UDP"))})
		}
		for range few("variables") {
			c.Env = append(c.Env, corev1.EnvVar{Name: pick("variable", "A", "B"), Value: pick("set", "", "1")})
		}
		for range few("requests") {
			c.Resources.Requests = corev1.ResourceList{corev1.ResourceName(pick("resource", "cpu", "memory")): resource.MustParse(pick("amount", "1", "2"))}
		}
		pod.Containers = append(pod.Containers, c)
	}
	for range few("tolerations") {
		pod.Tolerations = append(pod.Tolerations, corev1.Toleration{Key: pick("key", "", "a"), Operator: corev1.TolerationOpExists})
	}
	for range few("conditions") {
		set.Status.Conditions = append(set.Status.Conditions, appsv1.DaemonSetCondition{Type: appsv1.DaemonSetConditionType(pick("condition", "A", "B"))})
	}
	return set
}

// What has no Go type, and what must not have an item twice, is validated.
func TestAppliedObjectsAreValidated(t *testing.T) {
	_, config := bareServer(t)
	types, err := newTypeConverter(config.OpenAPIV3Config, shared.served.APIGroups())
	if err != nil {
		t.Fatal(err)
	}
	twice := newPod("default", "twice")
	twice.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	twice.Spec.Containers = append(twice.Spec.Containers, twice.Spec.Containers[0])
	if _, err := types.ObjectToTyped(twice); err == nil {
		t.Error("a Go object that must not have a container twice passes")
	}
	wrong := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{"containerz": "x"}}}
	if _, err := types.ObjectToTyped(wrong); err == nil {
		t.Error("an unknown field passes")
	}
	unknown := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v2", Kind: "Pod"}}
	if _, err := types.ObjectToTyped(unknown, typed.AllowDuplicates); err == nil {
		t.Error("an unknown version passes")
	}
}
