package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"
)

// defaultTolerationSeconds is how long a pod that says nothing about it stays
// on a node that is not ready or cannot be reached.
const defaultTolerationSeconds = 300

// defaultTolerations is DefaultTolerationSeconds.
type defaultTolerations struct{ *admission.Handler }

var _ admission.MutationInterface = defaultTolerations{}

func newDefaultTolerations() defaultTolerations {
	return defaultTolerations{admission.NewHandler(admission.Create, admission.Update)}
}

func (defaultTolerations) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod, err := podOf(a)
	if pod == nil || err != nil {
		return err
	}
	addDefaultTolerations(pod)
	return nil
}

func addDefaultTolerations(pod *corev1.Pod) {
	given := pod.Spec.Tolerations
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		if slices.ContainsFunc(given, func(t corev1.Toleration) bool { return speaksOfNoExecute(t, key) }) {
			continue
		}
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
			Key:               key,
			Operator:          corev1.TolerationOpExists,
			Effect:            corev1.TaintEffectNoExecute,
			TolerationSeconds: ptr.To[int64](defaultTolerationSeconds),
		})
	}
}

// speaksOfNoExecute tells whether a toleration is about the NoExecute taint
// with the key, whatever its operator, value and seconds.
func speaksOfNoExecute(t corev1.Toleration, key string) bool {
	return (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
}

// mergeTolerations joins two lists and leaves out what another entry already
// tolerates. Of equal entries the first stays.
func mergeTolerations(first, second []corev1.Toleration) []corev1.Toleration {
	all := slices.Concat(first, second)
	var merged []corev1.Toleration
	for i, t := range all {
		covered := slices.ContainsFunc(merged, func(m corev1.Toleration) bool { return covers(m, t) }) ||
			slices.ContainsFunc(all[i+1:], func(later corev1.Toleration) bool {
				return !equality.Semantic.DeepEqual(later, t) && covers(later, t)
			})
		if !covered {
			merged = append(merged, t)
		}
	}
	return merged
}

// covers tells whether the toleration wide tolerates all that narrow does.
func covers(wide, narrow corev1.Toleration) bool {
	if equality.Semantic.DeepEqual(wide, narrow) {
		return true
	}
	anyKey := wide.Key == "" && wide.Operator == corev1.TolerationOpExists
	if wide.Key != narrow.Key && !anyKey {
		return false
	}
	if wide.Effect != narrow.Effect && wide.Effect != "" {
		return false
	}
	if wide.Effect == corev1.TaintEffectNoExecute && wide.TolerationSeconds != nil {
		if narrow.TolerationSeconds == nil || *narrow.TolerationSeconds > *wide.TolerationSeconds {
			return false
		}
	}
	switch wide.Operator {
	case corev1.TolerationOpExists:
		return true
	case corev1.TolerationOpEqual, "":
		return (narrow.Operator == corev1.TolerationOpEqual || narrow.Operator == "") && narrow.Value == wide.Value
	default:
		return false
	}
}
