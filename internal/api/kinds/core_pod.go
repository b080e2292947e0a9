package kinds

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/ptr"
)

func pods() entry {
	return kind[*corev1.Pod]{gv: coreV1, name: "pods", obj: &corev1.Pod{}, list: &corev1.PodList{},
		shortNames: words{"po"}, categories: words{"all"}, hasStatus: true, generation: true,
		selectable: podFields, indexed: words{"spec.nodeName"},
		rules: rules[*corev1.Pod]{
			prepareCreate: func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending },
			grace:         podGrace,
		}}
}

func podFields(p *corev1.Pod) fields.Set {
	return fields.Set{
		"spec.nodeName":            p.Spec.NodeName,
		"spec.restartPolicy":       string(p.Spec.RestartPolicy),
		"spec.schedulerName":       p.Spec.SchedulerName,
		"spec.serviceAccountName":  p.Spec.ServiceAccountName,
		"spec.hostNetwork":         strconv.FormatBool(p.Spec.HostNetwork),
		"status.phase":             string(p.Status.Phase),
		"status.podIP":             p.Status.PodIP,
		"status.nominatedNodeName": p.Status.NominatedNodeName,
	}
}

// podGrace gives a pod the time its spec or the delete asks for. A pod that no
// node has, or that has ended, needs none.
func podGrace(p *corev1.Pod, o *metav1.DeleteOptions) bool {
	period := int64(0)
	switch {
	case o.GracePeriodSeconds != nil:
		period = *o.GracePeriodSeconds
	case p.Spec.TerminationGracePeriodSeconds != nil:
		period = *p.Spec.TerminationGracePeriodSeconds
	}
	if p.Spec.NodeName == "" || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		period = 0
	}
	if period < 0 {
		period = 1
	}
	o.GracePeriodSeconds = ptr.To(period)
	return true
}
