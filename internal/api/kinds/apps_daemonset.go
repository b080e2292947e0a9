package kinds

import (
	"context"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"github.com/garrison-project/garrison/internal/api/validation"
)

func daemonSets() entry {
	return kind[*appsv1.DaemonSet]{gv: appsV1, name: "daemonsets", obj: &appsv1.DaemonSet{}, list: &appsv1.DaemonSetList{},
		shortNames: words{"ds"}, categories: words{"all"}, hasStatus: true, generation: true,
		rules: rules[*appsv1.DaemonSet]{
			prepareCreate:  startTemplateGeneration,
			prepareUpdate:  countTemplateChange,
			prepareStatus:  func(d, old *appsv1.DaemonSet) { setTemplateGeneration(d, templateGeneration(old)) },
			validate:       validation.DaemonSet,
			validateUpdate: validation.DaemonSetUpdate,
			validateStatus: validation.DaemonSetStatusUpdate,
		},
		adjust: func(s *genericregistry.Store) {
			s.BeginCreate, s.BeginUpdate = beginCreateDaemonSet, beginUpdateDaemonSet
		},
	}
}

// The template generation counts the changes of the pod template alone. It was
// a field once and is an annotation today, which no client can change after
// create.

// templateGeneration reads the annotation; what is not a number counts as 0.
func templateGeneration(d *appsv1.DaemonSet) int64 {
	n, err := strconv.ParseInt(d.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func setTemplateGeneration(d *appsv1.DaemonSet, n int64) {
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(n, 10)
}

func startTemplateGeneration(d *appsv1.DaemonSet) {
	setTemplateGeneration(d, max(templateGeneration(d), 1))
}

func countTemplateChange(d, old *appsv1.DaemonSet) {
	n := templateGeneration(old)
	if !apiequality.Semantic.DeepEqual(d.Spec.Template, old.Spec.Template) {
		n++
	}
	setTemplateGeneration(d, n)
}

// checkTemplateGeneration refuses an annotation that is no number, as a field
// of the wrong type would be.
func checkTemplateGeneration(obj runtime.Object) error {
	value, ok := obj.(*appsv1.DaemonSet).Annotations[appsv1.DeprecatedTemplateGeneration]
	if !ok {
		return nil
	}
	if _, err := strconv.ParseInt(value, 10, 64); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("DaemonSet in version %q cannot be handled as a DaemonSet: %v", appsV1.Version, err))
	}
	return nil
}

func finished(context.Context, bool) {}

func beginCreateDaemonSet(_ context.Context, obj runtime.Object, _ *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
	return finished, checkTemplateGeneration(obj)
}

func beginUpdateDaemonSet(_ context.Context, obj, _ runtime.Object, _ *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
	return finished, checkTemplateGeneration(obj)
}
