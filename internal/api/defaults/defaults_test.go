package defaults_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"pgregory.net/rapid"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/api/defaults"
)

var scheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, authenticationv1.AddToScheme, corev1.AddToScheme, rbacv1.AddToScheme, schedulingv1.AddToScheme, defaults.Register,
	} {
		utilruntime.Must(add(s))
	}
	return s
}

// kinds are those that have defaults, and lists.
var kinds = []schema.GroupVersionKind{
	appsv1.SchemeGroupVersion.WithKind("DaemonSet"), appsv1.SchemeGroupVersion.WithKind("Deployment"),
	appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), appsv1.SchemeGroupVersion.WithKind("StatefulSet"),
	corev1.SchemeGroupVersion.WithKind("ConfigMap"), corev1.SchemeGroupVersion.WithKind("LimitRange"),
	corev1.SchemeGroupVersion.WithKind("Namespace"), corev1.SchemeGroupVersion.WithKind("Node"),
	corev1.SchemeGroupVersion.WithKind("PersistentVolume"), corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"),
	corev1.SchemeGroupVersion.WithKind("Pod"), corev1.SchemeGroupVersion.WithKind("PodTemplate"),
	corev1.SchemeGroupVersion.WithKind("ReplicationController"), corev1.SchemeGroupVersion.WithKind("ResourceQuota"),
	corev1.SchemeGroupVersion.WithKind("Secret"), corev1.SchemeGroupVersion.WithKind("Service"),
	rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"), rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
	schedulingv1.SchemeGroupVersion.WithKind("PriorityClass"),
}

// TestGolden completes the objects in testdata and prints the whole of them.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/objects", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var of metav1.TypeMeta
			if err := yaml.Unmarshal([]byte(d.Input), &of); err != nil {
				t.Fatal(err)
			}
			obj, err := scheme.New(of.GroupVersionKind())
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict([]byte(d.Input), obj); err != nil {
				t.Fatal(err)
			}
			scheme.Default(obj)
			out, err := yaml.Marshal(obj)
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		})
	})
}

// TestEachKindAndItsList says that no kind is forgotten, and that a list is
// completed as its items are.
func TestEachKindAndItsList(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.Kind, func(t *testing.T) {
			incomplete := 0
			for seed := range int64(50) {
				item := random(t, kind, seed)
				want := completed(item)
				if !reflect.DeepEqual(item, want) {
					incomplete++
				}
				if got := onlyItem(t, kind, item); !reflect.DeepEqual(got, want) {
					t.Fatalf("in a list\n got %s\nwant %s", asJSON(t, got), asJSON(t, want))
				}
			}
			if incomplete == 0 {
				t.Error("nothing was completed")
			}
		})
	}
}

// onlyItem completes a list of one item and returns that.
func onlyItem(t *testing.T, kind schema.GroupVersionKind, item runtime.Object) runtime.Object {
	t.Helper()
	kind.Kind += "List"
	list, err := scheme.New(kind)
	if err != nil {
		t.Fatal(err)
	}
	if err := meta.SetList(list, []runtime.Object{item.DeepCopyObject()}); err != nil {
		t.Fatal(err)
	}
	scheme.Default(list)
	items, err := meta.ExtractList(list)
	if err != nil {
		t.Fatal(err)
	}
	return items[0]
}

// TestCompleteOnce says that what is complete stays as it is.
func TestCompleteOnce(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.Kind, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				once := completed(random(t, kind, rapid.Int64().Draw(rt, "seed")))
				if again := completed(once); !reflect.DeepEqual(once, again) {
					rt.Fatalf("changed again:\n%s\n%s", asJSON(t, once), asJSON(t, again))
				}
			})
		})
	}
}

// TestTemplatesKeepWhatIsNotPods says that of a template only the parts that
// templates share with pods are completed, so that the bytes of a template do
// not change when pods get another default.
func TestTemplatesKeepWhatIsNotPods(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kind := corev1.SchemeGroupVersion.WithKind("PodTemplate")
		before := random(t, kind, rapid.Int64().Draw(rt, "seed")).(*corev1.PodTemplate).Template.Spec
		after := completed(&corev1.PodTemplate{Template: corev1.PodTemplateSpec{Spec: before}}).(*corev1.PodTemplate).Template.Spec
		if !reflect.DeepEqual(before.EnableServiceLinks, after.EnableServiceLinks) {
			rt.Fatalf("enableServiceLinks became %v", *after.EnableServiceLinks)
		}
		for i := range before.Containers {
			b, a := &before.Containers[i], &after.Containers[i]
			if len(a.Resources.Requests) != len(b.Resources.Requests) {
				rt.Fatalf("requests became %v from %v", a.Resources, b.Resources)
			}
			for j := range b.Ports {
				if a.Ports[j].HostPort != b.Ports[j].HostPort {
					rt.Fatalf("hostPort became %d", a.Ports[j].HostPort)
				}
			}
		}
	})
}

func completed(obj runtime.Object) runtime.Object {
	obj = obj.DeepCopyObject()
	scheme.Default(obj)
	return obj
}

func asJSON(t *testing.T, obj any) string {
	t.Helper()
	data, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// random fills an object of a kind, the same way for the same seed.
func random(t *testing.T, kind schema.GroupVersionKind, seed int64) runtime.Object {
	t.Helper()
	obj, err := scheme.New(kind)
	if err != nil {
		t.Fatal(err)
	}
	pick := func(c randfill.Continue, from ...string) string { return from[c.Intn(len(from))] }
	randfill.NewWithSeed(seed).NilChance(0.5).NumElements(0, 3).MaxDepth(20).Funcs(
		func(s *string, c randfill.Continue) {
			*s = pick(c, "", "a", "RollingUpdate", "OnDelete", "ClientIP", "None", "LoadBalancer", "ClusterIP", "Container", "User",
				"cpu", "hugepages-2Mi", "image:latest", "image:1", "Bad Image")
		},
		func(q *resource.Quantity, c randfill.Continue) {
			*q = resource.MustParse(pick(c, "0", "1", "1u", "1500m", "2Mi"))
		},
		func(*metav1.Time, randfill.Continue) {},
		func(*metav1.TypeMeta, randfill.Continue) {},
		func(*metav1.FieldsV1, randfill.Continue) {},
	).Fill(obj)
	return obj
}

// TestPullPolicy pairs names with what they mean for pulling.
func TestPullPolicy(t *testing.T) {
	const digest = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for image, want := range map[string]corev1.PullPolicy{
		"pause":                    corev1.PullAlways,
		"pause:latest":             corev1.PullAlways,
		"registry:5000/pause":      corev1.PullAlways,
		"pause:latest" + digest:    corev1.PullAlways,
		"pause:3.10":               corev1.PullIfNotPresent,
		"registry:5000/pause:3.10": corev1.PullIfNotPresent,
		"pause" + digest:           corev1.PullIfNotPresent,
		"":                         corev1.PullIfNotPresent,
		"Not An Image":             corev1.PullIfNotPresent,
		"https://registry/pause":   corev1.PullIfNotPresent,
		strings.Repeat("a", 300):   corev1.PullIfNotPresent,
		"registry.k8s.io/pause:latest-but-not-yet": corev1.PullIfNotPresent,
	} {
		ds := &appsv1.DaemonSet{}
		ds.Spec.Template.Spec.Containers = []corev1.Container{{Image: image}}
		defaults.DaemonSet(ds)
		if got := ds.Spec.Template.Spec.Containers[0].ImagePullPolicy; got != want {
			t.Errorf("%q: got %s, want %s", image, got, want)
		}
	}
}
