package validation_test

import (
	stdbufio "bufio"
	"bytes"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/api/defaults"
	"github.com/garrison-project/garrison/internal/api/validation"
)

// scheme knows the kinds that this package judges.
var scheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, coordinationv1.AddToScheme, corev1.AddToScheme, nodev1.AddToScheme,
		policyv1.AddToScheme, rbacv1.AddToScheme, schedulingv1.AddToScheme, defaults.Register,
	} {
		utilruntime.Must(add(s))
	}
	return s
}

func bufio(data []byte) *stdbufio.Reader { return stdbufio.NewReader(bytes.NewReader(data)) }

// decode reads an object as the server does, from what kubectl makes of a
// document, and completes it.
func decode(doc []byte, strict bool) (runtime.Object, error) {
	data, err := yaml.YAMLToJSON(doc)
	if err != nil {
		return nil, err
	}
	codec := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Strict: strict})
	obj, _, err := codec.Decode(data, nil, nil)
	if err != nil {
		return nil, err
	}
	scheme.Default(obj)
	return obj, nil
}

// check adapts a function that judges one kind.
func check[T any, P interface {
	*T
	runtime.Object
	metav1.Object
}](fn func(P) field.ErrorList) kindCheck {
	return kindCheck{
		of:  P(new(T)),
		run: func(obj runtime.Object) field.ErrorList { return fn(obj.(P)) },
	}
}

type kindCheck struct {
	of      runtime.Object
	run     func(runtime.Object) field.ErrorList
	cluster bool
}

func (c kindCheck) inCluster() kindCheck { c.cluster = true; return c }

// creations are all the functions that judge a new object.
var creations = []kindCheck{
	check(validation.ClusterRole).inCluster(), check(validation.ClusterRoleBinding).inCluster(),
	check(validation.ConfigMap), check(validation.ControllerRevision), check(validation.DaemonSet),
	check(validation.Event), check(validation.Lease), check(validation.LimitRange),
	check(validation.Namespace).inCluster(), check(validation.Node).inCluster(),
	check(validation.Pod), check(validation.PodDisruptionBudget), check(validation.PodTemplate),
	check(validation.PriorityClass).inCluster(), check(validation.ReplicaSet), check(validation.ReplicationController),
	check(validation.ResourceQuota), check(validation.Role), check(validation.RoleBinding),
	check(validation.RuntimeClass).inCluster(), check(validation.Secret), check(validation.Service),
	check(validation.ServiceAccount),
}

// judge validates a new object as the server does: in the namespace of the
// request, if its kind lives in one.
func judge(obj runtime.Object) field.ErrorList {
	for _, c := range creations {
		if fmt.Sprintf("%T", c.of) != fmt.Sprintf("%T", obj) {
			continue
		}
		switch meta := obj.(metav1.Object); {
		case c.cluster:
			meta.SetNamespace("")
		case meta.GetNamespace() == "":
			meta.SetNamespace("default")
		}
		return c.run(obj)
	}
	return nil
}

func texts(errs field.ErrorList) []string {
	var out []string
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}

func lines(errs field.ErrorList) string { return strings.Join(texts(errs), "\n") }
