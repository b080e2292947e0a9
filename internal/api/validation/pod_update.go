package validation

import (
	"fmt"
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// changeable are the parts of a pod's spec that an update may touch, as the
// message names them.
const changeable = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

// PodUpdate checks a changed pod: of its spec little may change.
func PodUpdate(pod, old *corev1.Pod) field.ErrorList {
	f := faults{list: metaUpdate(&pod.ObjectMeta, &old.ObjectMeta)}
	f.add(podContent(pod)...)
	f.annotationUpdate(pod, old)
	if f.containerUpdate(pod.Spec.Containers, old.Spec.Containers, specPath.Child("containers")) &&
		f.containerUpdate(pod.Spec.InitContainers, old.Spec.InitContainers, specPath.Child("initContainers")) &&
		f.deadlineUpdate(pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds) {
		f.specUpdate(&pod.Spec, &old.Spec)
	}
	return f.list
}

// PodEphemeralContainersUpdate checks what is written through
// /ephemeralcontainers: containers may be added, and then stay as they are.
func PodEphemeralContainersUpdate(pod, old *corev1.Pod) field.ErrorList {
	if isMirror(&old.ObjectMeta) {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers")}
	}
	f := faults{list: metaUpdate(&pod.ObjectMeta, &old.ObjectMeta)}
	f.add(podContent(pod)...)
	f.annotationUpdate(pod, old)

	at := specPath.Child("ephemeralContainers")
	now := map[string]*corev1.EphemeralContainer{}
	for i := range pod.Spec.EphemeralContainers {
		now[pod.Spec.EphemeralContainers[i].Name] = &pod.Spec.EphemeralContainers[i]
	}
	for i := range old.Spec.EphemeralContainers {
		was := &old.Spec.EphemeralContainers[i]
		switch is := now[was.Name]; {
		case is == nil:
			f.forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name))
		case !apiequality.Semantic.DeepEqual(*was, *is):
			f.forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", was.Name, diff.Diff(*was, *is)))
		}
	}
	return f.list
}

// annotationUpdate keeps the annotations that say how a pod came to be.
func (f *faults) annotationUpdate(pod, old *corev1.Pod) {
	at := metadataPath.Child("annotations")
	isAppArmor := func(key string) bool {
		return strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
	}
	for _, key := range sortedKeys(old.Annotations) {
		value, kept := pod.Annotations[key]
		switch {
		case kept && value == old.Annotations[key]:
		case isAppArmor(key):
			f.forbidden(at.Key(key), "may not remove or update AppArmor annotations")
		case key == corev1.MirrorPodAnnotationKey:
			f.forbidden(at.Key(key), "may not remove or update mirror pod annotation")
		}
	}
	for _, key := range sortedKeys(pod.Annotations) {
		_, known := old.Annotations[key]
		switch {
		case known:
		case isAppArmor(key):
			f.forbidden(at.Key(key), "may not add AppArmor annotations")
		case key == corev1.MirrorPodAnnotationKey:
			f.forbidden(at.Key(key), "may not add mirror pod annotation")
		}
	}
	f.podAnnotations(pod.Annotations, &pod.Spec, at)
}

// containerUpdate checks new images, and returns whether the lists still go
// together.
func (f *faults) containerUpdate(now, was []corev1.Container, at *field.Path) bool {
	if len(now) != len(was) {
		f.forbidden(at, "pod updates may not add or remove containers")
		return false
	}
	for i := range now {
		f.needs(at.Index(i).Child("image"), now[i].Image)
		f.imageSpace(&now[i], at.Index(i))
	}
	return true
}

// deadlineUpdate lets a deadline be set or drawn nearer, and returns whether
// the new value makes any sense.
func (f *faults) deadlineUpdate(now, was *int64) bool {
	at := specPath.Child("activeDeadlineSeconds")
	switch {
	case now == nil && was != nil:
		f.invalid(at, now, "must not update from a positive integer to nil value")
	case now == nil:
	case *now < 0 || *now > math.MaxInt32:
		f.invalid(at, *now, validation.InclusiveRangeError(0, math.MaxInt32))
		return false
	case was != nil && *was < *now:
		f.invalid(at, *now, "must be less than or equal to previous value")
		return false
	}
	return true
}

func (f *faults) specUpdate(now, was *corev1.PodSpec) {
	f.tolerationUpdate(now.Tolerations, was.Tolerations)
	f.gateUpdate(now.SchedulingGates, was.SchedulingGates)
	if apiequality.Semantic.DeepEqual(*now, *was) {
		return
	}
	// Undo what may change: nothing else may be left.
	rest := now.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i].Image = was.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = was.InitContainers[i].Image
	}
	rest.ActiveDeadlineSeconds = was.ActiveDeadlineSeconds
	rest.SchedulingGates = was.SchedulingGates
	rest.Tolerations = was.Tolerations
	if grace := was.TerminationGracePeriodSeconds; grace != nil && *grace < 0 &&
		rest.TerminationGracePeriodSeconds != nil && *rest.TerminationGracePeriodSeconds == 1 {
		rest.TerminationGracePeriodSeconds = grace
	}
	if len(was.SchedulingGates) > 0 {
		f.gatedUpdate(rest, was)
	}
	if !apiequality.Semantic.DeepEqual(*rest, *was) {
		f.forbidden(specPath, fmt.Sprintf("pod updates may not change fields other than %s\n%v", changeable, diff.Diff(*was, *rest)))
	}
}

// gatedUpdate lets whoever holds a pod back narrow down where it may go, and
// undoes that in rest.
func (f *faults) gatedUpdate(rest, was *corev1.PodSpec) {
	for _, key := range sortedKeys(was.NodeSelector) {
		if value, kept := rest.NodeSelector[key]; !kept || value != was.NodeSelector[key] {
			f.invalid(specPath.Child("nodeSelector"), rest.NodeSelector,
				"only additions to spec.nodeSelector are allowed (no mutations or deletions)")
			break
		}
	}
	rest.NodeSelector = was.NodeSelector

	now, before := nodeAffinity(rest), nodeAffinity(was)
	if apiequality.Semantic.DeepEqual(now, before) {
		return
	}
	f.nodeAffinityUpdate(now, before)
	if rest.Affinity == nil {
		rest.Affinity = &corev1.Affinity{}
	}
	rest.Affinity.NodeAffinity = before
	if was.Affinity == nil && *rest.Affinity == (corev1.Affinity{}) {
		rest.Affinity = nil
	}
}

func nodeAffinity(spec *corev1.PodSpec) *corev1.NodeAffinity {
	if spec.Affinity == nil {
		return nil
	}
	return spec.Affinity.NodeAffinity
}

// nodeAffinityUpdate lets each of the old terms grow, and only that.
func (f *faults) nodeAffinityUpdate(now, was *corev1.NodeAffinity) {
	terms := func(a *corev1.NodeAffinity) []corev1.NodeSelectorTerm {
		if a == nil || a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
			return nil
		}
		return a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	}
	at := specPath.Child("affinity", "nodeAffinity", requiredTerms, "nodeSelectorTerms")
	before, after := terms(was), terms(now)
	if len(before) > 0 && len(before) != len(after) {
		f.invalid(at, after, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
		return
	}
	for i := range before {
		if !grown(&after[i], &before[i]) {
			f.invalid(at.Index(i), after[i], "only additions are allowed (no mutations or deletions)")
		}
	}
}

// grown says whether a term begins with what it was. An empty term, which
// matches nothing, may not come to match something.
func grown(now, was *corev1.NodeSelectorTerm) bool {
	if len(was.MatchExpressions)+len(was.MatchFields) == 0 {
		return len(now.MatchExpressions)+len(now.MatchFields) == 0
	}
	begins := func(now, was []corev1.NodeSelectorRequirement) bool {
		return len(now) >= len(was) && apiequality.Semantic.DeepEqual(now[:len(was)], was)
	}
	return begins(now.MatchExpressions, was.MatchExpressions) && begins(now.MatchFields, was.MatchFields)
}

// tolerationUpdate lets tolerations be added; of the old ones only the seconds
// may change.
func (f *faults) tolerationUpdate(now, was []corev1.Toleration) {
	at := specPath.Child("tolerations")
	kept := seen[corev1.Toleration]{}
	for _, t := range now {
		t.TolerationSeconds = nil
		kept[t] = true
	}
	for _, t := range was {
		t.TolerationSeconds = nil
		if !kept[t] {
			f.forbidden(at, "existing toleration can not be modified except its tolerationSeconds")
			return
		}
	}
	f.tolerations(now, at)
}

// gateUpdate lets gates be removed only.
func (f *faults) gateUpdate(now, was []corev1.PodSchedulingGate) {
	known := seen[string]{}
	for _, gate := range was {
		known[gate.Name] = true
	}
	for i, gate := range now {
		if !known.again(gate.Name) {
			f.forbidden(specPath.Child("schedulingGates").Index(i).Child("name"),
				fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", gate.Name))
		}
	}
}
