package kinds

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apivalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/kubectl/pkg/util/qos"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/garrison-project/garrison/internal/api/validation"
)

func pods() entry {
	return kind[*corev1.Pod]{gv: coreV1, name: "pods", obj: &corev1.Pod{}, list: &corev1.PodList{},
		shortNames: words{"po"}, categories: words{"all"},
		hasStatus: true, generation: true, returnsDeleted: true,
		selectable: podFields, indexed: "spec.nodeName", indexedValue: podNodeName,
		rules: rules[*corev1.Pod]{
			prepareCreate:  preparePod,
			prepareStatus:  preparePodStatus,
			validate:       validation.Pod,
			validateUpdate: validation.PodUpdate,
			validateStatus: validation.PodStatusUpdate,
			warn:           warnPodName,
			grace:          podGrace,
		},
		parts: []part[*corev1.Pod]{ephemeralContainers()},
	}
}

// podFields lists what fields of a pod can be selected. To a selector a field that
// is not listed is empty, and a map of up to eight takes half the memory of a larger
// one: the watch cache keeps one for each version of each pod.
func podFields(p *corev1.Pod) fields.Set {
	set := fields.Set{
		"spec.restartPolicy":      string(p.Spec.RestartPolicy),
		"spec.schedulerName":      p.Spec.SchedulerName,
		"spec.serviceAccountName": p.Spec.ServiceAccountName,
		"spec.hostNetwork":        strconv.FormatBool(p.Spec.HostNetwork),
		"status.phase":            string(p.Status.Phase),
	}
	if p.Spec.NodeName != "" {
		set["spec.nodeName"] = p.Spec.NodeName
	}
	if len(p.Status.PodIPs) > 0 {
		set["status.podIP"] = p.Status.PodIPs[0].IP
	}
	if p.Status.NominatedNodeName != "" {
		set["status.nominatedNodeName"] = p.Status.NominatedNodeName
	}
	return set
}

func podNodeName(p *corev1.Pod) string { return p.Spec.NodeName }

// preparePod gives a new pod its first status and merges the label keys of its
// terms into their selectors, which later readers then need not know about.
func preparePod(p *corev1.Pod) {
	p.Status = corev1.PodStatus{Phase: corev1.PodPending}
	p.Status.QOSClass = qos.ComputePodQOS(p)
	if len(p.Spec.SchedulingGates) > 0 {
		p.Status.Conditions = []corev1.PodCondition{{
			Type:    corev1.PodScheduled,
			Status:  corev1.ConditionFalse,
			Reason:  corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		}}
	}
	mergeLabelKeys(p)
}

// mergeLabelKeys turns matchLabelKeys and mismatchLabelKeys into requirements
// on the pod's own values of these labels.
func mergeLabelKeys(p *corev1.Pod) {
	own := ownLabels(p.Labels)
	if a := p.Spec.Affinity; a != nil {
		if pa := a.PodAffinity; pa != nil {
			own.mergeTerms(pa.RequiredDuringSchedulingIgnoredDuringExecution, pa.PreferredDuringSchedulingIgnoredDuringExecution)
		}
		if pa := a.PodAntiAffinity; pa != nil {
			own.mergeTerms(pa.RequiredDuringSchedulingIgnoredDuringExecution, pa.PreferredDuringSchedulingIgnoredDuringExecution)
		}
	}
	for i := range p.Spec.TopologySpreadConstraints {
		c := &p.Spec.TopologySpreadConstraints[i]
		own.require(c.LabelSelector, metav1.LabelSelectorOpIn, c.MatchLabelKeys)
	}
}

// ownLabels are the labels of the pod whose terms are merged.
type ownLabels map[string]string

func (own ownLabels) mergeTerms(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
	for i := range required {
		own.mergeTerm(&required[i])
	}
	for i := range preferred {
		own.mergeTerm(&preferred[i].PodAffinityTerm)
	}
}

func (own ownLabels) mergeTerm(t *corev1.PodAffinityTerm) {
	own.require(t.LabelSelector, metav1.LabelSelectorOpIn, t.MatchLabelKeys)
	own.require(t.LabelSelector, metav1.LabelSelectorOpNotIn, t.MismatchLabelKeys)
}

// require adds to a selector that each of the keys has, or has not, the pod's
// own value. No selector matches nothing, and stays none; keys that the pod
// lacks are passed over.
func (own ownLabels) require(s *metav1.LabelSelector, op metav1.LabelSelectorOperator, keys []string) {
	if s == nil {
		return
	}
	for _, key := range keys {
		if value, ok := own[key]; ok {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: []string{value}})
		}
	}
}

// preparePodStatus keeps what only the server and observers that know of it
// may set: the QoS class and the generation each condition was seen at.
func preparePodStatus(p, old *corev1.Pod) {
	if p.Status.QOSClass == "" {
		p.Status.QOSClass = old.Status.QOSClass
	}
	if p.Status.ObservedGeneration == 0 {
		p.Status.ObservedGeneration = old.Status.ObservedGeneration
	}
	observed := map[corev1.PodConditionType]int64{}
	for _, c := range old.Status.Conditions {
		observed[c.Type] = c.ObservedGeneration
	}
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.ObservedGeneration == 0 {
			c.ObservedGeneration = observed[c.Type]
		}
	}
}

func warnPodName(p *corev1.Pod) []string {
	if msgs := apivalidation.IsDNS1123Label(p.Name); len(msgs) > 0 {
		return []string{fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", msgs)}
	}
	return nil
}

// podGrace gives a pod the time that the delete, or else its spec, asks for. A
// pod that has no node, or has ended, needs none.
func podGrace(p *corev1.Pod, o *metav1.DeleteOptions) bool {
	period := ptr.Deref(p.Spec.TerminationGracePeriodSeconds, 0)
	if o.GracePeriodSeconds != nil {
		period = *o.GracePeriodSeconds
	}
	if p.Spec.NodeName == "" || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		period = 0
	}
	if period < 0 {
		period = 1
	}
	o.GracePeriodSeconds = &period
	return true
}

// ephemeralContainers is the subresource that adds debugging containers.
func ephemeralContainers() part[*corev1.Pod] {
	return part[*corev1.Pod]{
		name:       "ephemeralcontainers",
		writesSpec: true,
		prepare: func(p, old *corev1.Pod) {
			added := p.Spec.EphemeralContainers
			p.Spec, p.Status = old.Spec, old.Status
			p.Spec.EphemeralContainers = added
			metav1.ResetObjectMetaForStatus(&p.ObjectMeta, &old.ObjectMeta)
		},
		validate: validation.PodEphemeralContainersUpdate,
		owned:    fieldpath.NewIncludeMatcherFilter(fieldpath.MakePrefixMatcherOrDie("spec", "ephemeralContainers")),
	}
}

// setPodCondition adds c to the conditions of p or changes the one of its type,
// keeping the time of the last transition while the status stays the same.
func setPodCondition(p *corev1.Pod, c corev1.PodCondition, now metav1.Time) {
	c.LastTransitionTime = now
	for i := range p.Status.Conditions {
		old := &p.Status.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
		return
	}
	p.Status.Conditions = append(p.Status.Conditions, c)
}
