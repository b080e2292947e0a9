package admission

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes"
	schedulinglisters "k8s.io/client-go/listers/scheduling/v1"
)

// errNotReady: without its cache the plugin would take no class for the default.
var errNotReady = errors.New("not yet ready to handle request")

// priority is Priority: it turns the name of a pod's priority class into the
// number that the scheduler compares, and keeps the default class unique.
type priority struct {
	*admission.Handler
	client  kubernetes.Interface
	classes schedulinglisters.PriorityClassLister
}

var (
	_ admission.MutationInterface   = (*priority)(nil)
	_ admission.ValidationInterface = (*priority)(nil)
)

func newPriority(o Options) *priority {
	informer := o.Informers.Scheduling().V1().PriorityClasses()
	p := &priority{
		Handler: admission.NewHandler(admission.Create, admission.Update),
		client:  o.Client,
		classes: informer.Lister(),
	}
	p.SetReadyFunc(informer.Informer().HasSynced)
	return p
}

func (p *priority) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod, err := podOf(a)
	if pod == nil || err != nil {
		return err
	}
	if a.GetOperation() == admission.Update {
		if old, ok := a.GetOldObject().(*corev1.Pod); ok {
			keepPriority(pod, old)
		}
		return nil
	}
	if !p.WaitForReady() {
		return forbid(a, errNotReady)
	}
	class, err := p.classOf(ctx, pod)
	if apierrors.IsNotFound(err) {
		return forbid(a, fmt.Errorf("no PriorityClass with name %v was found", pod.Spec.PriorityClassName))
	}
	if err != nil {
		return fmt.Errorf("look up the priority class of the pod: %w", err)
	}
	return forbid(a, setPriority(pod, class))
}

// classOf returns the class that the pod names, or the default class, or nil
// when there is neither. A class may have been created just before the pod, so
// the server is asked when the cache does not know the name.
func (p *priority) classOf(ctx context.Context, pod *corev1.Pod) (*schedulingv1.PriorityClass, error) {
	name := pod.Spec.PriorityClassName
	if name == "" {
		all, err := p.classes.List(labels.Everything())
		return defaultClass(all), err
	}
	class, err := p.classes.Get(name)
	if apierrors.IsNotFound(err) {
		return p.client.SchedulingV1().PriorityClasses().Get(ctx, name, metav1.GetOptions{})
	}
	return class, err
}

func (p *priority) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != priorityClasses || a.GetSubresource() != "" {
		return nil
	}
	class, ok := a.GetObject().(*schedulingv1.PriorityClass)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("expected a PriorityClass but got %T", a.GetObject()))
	}
	if !class.GlobalDefault {
		return nil
	}
	if !p.WaitForReady() {
		return forbid(a, errNotReady)
	}
	all, err := p.classes.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list priority classes: %w", err)
	}
	return forbid(a, checkDefaultClass(class, defaultClass(all), a.GetOperation()))
}
