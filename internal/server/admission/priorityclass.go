package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// systemCritical is the priority of system-cluster-critical, above all that
// users may define.
const systemCritical = 2_000_000_000

// SystemPriorityClasses returns the two classes that every cluster has.
func SystemPriorityClasses() []*schedulingv1.PriorityClass {
	return []*schedulingv1.PriorityClass{
		{
			ObjectMeta:  metav1.ObjectMeta{Name: "system-node-critical"},
			Value:       systemCritical + 1000,
			Description: "Used for system critical pods that must not be moved from their current node.",
		},
		{
			ObjectMeta:  metav1.ObjectMeta{Name: "system-cluster-critical"},
			Value:       systemCritical,
			Description: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
		},
	}
}

// EnsureSystemPriorityClasses creates those of the system's classes that do not
// exist. Call it once the server answers; it may be repeated.
func EnsureSystemPriorityClasses(ctx context.Context, client kubernetes.Interface) error {
	for _, class := range SystemPriorityClasses() {
		_, err := client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create priority class %s: %w", class.Name, err)
		}
	}
	return nil
}

// defaultClass returns the class of pods that name none, or nil. Should a race
// have left several, the one with the lowest value wins, then the lowest name.
func defaultClass(all []*schedulingv1.PriorityClass) *schedulingv1.PriorityClass {
	var lowest *schedulingv1.PriorityClass
	for _, c := range all {
		if !c.GlobalDefault {
			continue
		}
		if lowest == nil || c.Value < lowest.Value || c.Value == lowest.Value && c.Name < lowest.Name {
			lowest = c
		}
	}
	return lowest
}

// checkDefaultClass refuses a second default class. current is the default as
// it is now, or nil.
func checkDefaultClass(class, current *schedulingv1.PriorityClass, op admission.Operation) error {
	if current == nil || op == admission.Update && current.Name == class.Name {
		return nil
	}
	return fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", current.Name)
}

// setPriority writes into a new pod what its class says. class is nil when the
// pod names none and there is no default.
func setPriority(pod *corev1.Pod, class *schedulingv1.PriorityClass) error {
	value, policy := int32(0), ptr.To(corev1.PreemptLowerPriority)
	if class != nil {
		value, policy = class.Value, class.PreemptionPolicy
		pod.Spec.PriorityClassName = class.Name
	}
	if p := pod.Spec.Priority; p != nil && *p != value {
		return fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *p, value)
	}
	pod.Spec.Priority = &value
	if policy == nil {
		return nil
	}
	if p := pod.Spec.PreemptionPolicy; p != nil && *p != *policy {
		return fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *p, *policy)
	}
	pod.Spec.PreemptionPolicy = ptr.To(*policy)
	return nil
}

// keepPriority lets a client that does not know these fields update a pod; that
// they do not change is validation's business.
func keepPriority(pod, old *corev1.Pod) {
	if pod.Spec.Priority == nil {
		pod.Spec.Priority = old.Spec.Priority
	}
	if pod.Spec.PreemptionPolicy == nil {
		pod.Spec.PreemptionPolicy = old.Spec.PreemptionPolicy
	}
}
