package admission

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes"
	nodelisters "k8s.io/client-go/listers/node/v1"
)

// runtimeClass is RuntimeClass: it charges a pod with the overhead of its
// runtime class and keeps it to the nodes that have that runtime.
type runtimeClass struct {
	*admission.Handler
	client  kubernetes.Interface
	classes nodelisters.RuntimeClassLister
}

var (
	_ admission.MutationInterface   = (*runtimeClass)(nil)
	_ admission.ValidationInterface = (*runtimeClass)(nil)
)

func newRuntimeClass(o Options) *runtimeClass {
	return &runtimeClass{
		Handler: admission.NewHandler(admission.Create),
		client:  o.Client,
		classes: o.Informers.Node().V1().RuntimeClasses().Lister(),
	}
}

func (p *runtimeClass) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return p.decide(ctx, a, applyRuntimeClass)
}

func (p *runtimeClass) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return p.decide(ctx, a, checkOverhead)
}

func (p *runtimeClass) decide(ctx context.Context, a admission.Attributes, decide func(*corev1.Pod, *nodev1.RuntimeClass) error) error {
	pod, err := createdPod(a)
	if pod == nil || err != nil {
		return err
	}
	var class *nodev1.RuntimeClass
	if name := pod.Spec.RuntimeClassName; name != nil {
		if class, err = p.class(ctx, *name); apierrors.IsNotFound(err) {
			return forbid(a, fmt.Errorf("pod rejected: RuntimeClass %q not found", *name))
		}
		if err != nil {
			return fmt.Errorf("look up RuntimeClass %s: %w", *name, err)
		}
	}
	return forbid(a, decide(pod, class))
}

// class asks the server itself when the cache has not heard of the name yet.
func (p *runtimeClass) class(ctx context.Context, name string) (*nodev1.RuntimeClass, error) {
	class, err := p.classes.Get(name)
	if apierrors.IsNotFound(err) {
		return p.client.NodeV1().RuntimeClasses().Get(ctx, name, metav1.GetOptions{})
	}
	return class, err
}

// applyRuntimeClass writes into the pod what its class prescribes. class is nil
// for a pod that names none.
func applyRuntimeClass(pod *corev1.Pod, class *nodev1.RuntimeClass) error {
	if class == nil {
		return nil
	}
	if class.Overhead != nil {
		if len(pod.Spec.Overhead) > 0 && !sameOverhead(pod, class) {
			return errOverheadDiffers
		}
		pod.Spec.Overhead = class.Overhead.PodFixed.DeepCopy()
	}
	if class.Scheduling == nil {
		return nil
	}
	selector := maps.Clone(pod.Spec.NodeSelector)
	if selector == nil && len(class.Scheduling.NodeSelector) > 0 {
		selector = map[string]string{}
	}
	for _, key := range slices.Sorted(maps.Keys(class.Scheduling.NodeSelector)) {
		want := class.Scheduling.NodeSelector[key]
		if have, found := selector[key]; found && have != want {
			return fmt.Errorf("conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", key, want, key, have)
		}
		selector[key] = want
	}
	pod.Spec.NodeSelector = selector
	pod.Spec.Tolerations = mergeTolerations(pod.Spec.Tolerations, class.Scheduling.DeepCopy().Tolerations)
	return nil
}

var (
	errOverheadDiffers = errors.New("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
	errOverheadAlone   = errors.New("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
)

// checkOverhead refuses a pod whose overhead is not that of its class: a pod
// cannot make itself lighter or heavier.
func checkOverhead(pod *corev1.Pod, class *nodev1.RuntimeClass) error {
	switch {
	case class != nil && class.Overhead != nil:
		if !sameOverhead(pod, class) {
			return errOverheadDiffers
		}
	case pod.Spec.Overhead != nil:
		return errOverheadAlone
	}
	return nil
}

func sameOverhead(pod *corev1.Pod, class *nodev1.RuntimeClass) bool {
	return equality.Semantic.DeepEqual(pod.Spec.Overhead, class.Overhead.PodFixed)
}
