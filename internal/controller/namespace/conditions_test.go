package namespace

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestConditions words one look after the other at the same namespace. A look
// is written as lines of
//
//	discovery TEXT | failure TEXT | remaining RESOURCE[.GROUP] N | finalizer NAME N
func TestConditions(t *testing.T) {
	epoch := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var conditions []corev1.NamespaceCondition
	datadriven.RunTest(t, "testdata/conditions", func(t *testing.T, d *datadriven.TestData) string {
		var at int
		d.ScanArgs(t, "at", &at)
		left := newSurvey()
		for line := range strings.Lines(d.Input) {
			word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			name, number, _ := strings.Cut(rest, " ")
			switch word {
			case "discovery":
				left.Discovery = rest
			case "failure":
				left.Failures = append(left.Failures, rest)
			case "remaining":
				left.Remaining[schema.ParseGroupResource(name)], _ = strconv.Atoi(number)
			case "finalizer":
				left.Finalizers[name], _ = strconv.Atoi(number)
			default:
				d.Fatalf(t, "unknown line %q", line)
			}
		}
		before := fmt.Sprint(conditions)
		after := left.conditions(conditions, metav1.NewTime(epoch.Add(time.Duration(at)*time.Second)))
		if fmt.Sprint(conditions) != before {
			t.Errorf("%s: the old conditions were edited", d.Pos)
		}
		conditions = after
		var out strings.Builder
		fmt.Fprintf(&out, "empty=%v\n", left.empty())
		for _, c := range conditions {
			fmt.Fprintf(&out, "%s=%s since=%v %s: %s\n", c.Type, c.Status, c.LastTransitionTime.Sub(epoch).Seconds(), c.Reason, c.Message)
		}
		return out.String()
	})
}
