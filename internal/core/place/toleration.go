package place

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// AutomaticTolerations returns the tolerations that every daemon pod has, so
// that it stays when its node turns unhealthy and is placed on nodes that are
// cordoned or under pressure. A pod in the host's network also runs where the
// pod network is not up yet: it may be what brings the network up.
func AutomaticTolerations(hostNetwork bool) []corev1.Toleration {
	ts := []corev1.Toleration{
		tolerateAlways(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute),
		tolerateAlways(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute),
		tolerateAlways(corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule),
		tolerateAlways(corev1.TaintNodeMemoryPressure, corev1.TaintEffectNoSchedule),
		tolerateAlways(corev1.TaintNodePIDPressure, corev1.TaintEffectNoSchedule),
		tolerateAlways(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule),
	}
	if hostNetwork {
		ts = append(ts, tolerateAlways(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule))
	}
	return ts
}

func tolerateAlways(key string, effect corev1.TaintEffect) corev1.Toleration {
	return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
}

// DaemonTolerations returns the tolerations of a daemon pod whose template
// asks for user: the user's list with the automatic ones appended in their
// order. A user toleration of the same key, operator, value and effect is
// replaced where it stands, so that a tolerationSeconds on it is lost. The
// argument is left as it is.
func DaemonTolerations(user []corev1.Toleration, hostNetwork bool) []corev1.Toleration {
	automatic := AutomaticTolerations(hostNetwork)
	out := make([]corev1.Toleration, len(user), len(user)+len(automatic))
	copy(out, user)
	for _, a := range automatic {
		replaced := false
		for i := range out {
			if out[i].MatchToleration(&a) {
				out[i], replaced = a, true
			}
		}
		if !replaced {
			out = append(out, a)
		}
	}
	return slices.Clip(out)
}

// tolerates reports whether any of the tolerations accepts the taint.
func tolerates(ts []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range ts {
		// The library wants a logger for numbers that do not parse;
		// the zero one discards.
		if ts[i].ToleratesTaint(klog.Logger{}, taint, true) {
			return true
		}
	}
	return false
}

// excludes reports whether an untolerated taint of this effect keeps a pod
// off a node. PreferNoSchedule only lowers a score.
func excludes(effect corev1.TaintEffect) bool {
	return effect == corev1.TaintEffectNoSchedule || effect == corev1.TaintEffectNoExecute
}
