package nodelife

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestEvict judges pods. A pod is written as
//
//	pod at=N since=N [scheduled=N] [phase=P] [deleting]
//	taint KEY[=VALUE]:EFFECT [added=N]
//	tolerate KEY[=VALUE]:EFFECT [SECONDS]
//
// where a toleration of * is of everything.
func TestEvict(t *testing.T) {
	datadriven.RunTest(t, "testdata/evict/pods", func(t *testing.T, d *datadriven.TestData) string {
		var now, since, scheduled float64
		var phase string
		d.ScanArgs(t, "at", &now)
		d.ScanArgs(t, "since", &since)
		v := evictionView{Pod: &corev1.Pod{}, Since: at(since), Now: at(now)}
		if d.MaybeScanArgs(t, "scheduled", &scheduled) {
			v.Pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(at(scheduled))}}
		}
		if d.MaybeScanArgs(t, "phase", &phase) {
			v.Pod.Status.Phase = corev1.PodPhase(phase)
		}
		if d.HasArg("deleting") {
			gone := metav1.NewTime(at(now))
			v.Pod.DeletionTimestamp = &gone
		}
		for line := range strings.Lines(d.Input) {
			words := strings.Fields(line)
			name, effect, _ := strings.Cut(words[1], ":")
			key, value, _ := strings.Cut(name, "=")
			var number int64
			if len(words) > 2 {
				if _, err := fmt.Sscan(strings.TrimPrefix(words[2], "added="), &number); err != nil {
					d.Fatalf(t, "%v", err)
				}
			}
			switch words[0] {
			case "taint":
				taint := corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
				if len(words) > 2 {
					added := metav1.NewTime(at(float64(number)))
					taint.TimeAdded = &added
				}
				v.Taints = append(v.Taints, taint)
			case "tolerate":
				v.Pod.Spec.Tolerations = append(v.Pod.Spec.Tolerations, toleration(words, key, value, effect, number))
			default:
				d.Fatalf(t, "unknown line %q", line)
			}
		}
		switch verdict := evict(v); {
		case verdict.Evict:
			return "evict\n"
		case !verdict.At.IsZero():
			return fmt.Sprintf("evict at=%v\n", verdict.At.Sub(epoch).Seconds())
		}
		return "stays\n"
	})
}

func toleration(words []string, key, value, effect string, seconds int64) corev1.Toleration {
	t := corev1.Toleration{Key: key, Value: value, Operator: corev1.TolerationOpEqual, Effect: corev1.TaintEffect(effect)}
	if value == "" {
		t.Operator = corev1.TolerationOpExists
	}
	if key == "*" {
		t.Key = ""
	}
	if len(words) > 2 {
		t.TolerationSeconds = &seconds
	}
	return t
}
