// Package oracle holds Garrison's decisions against those of upstream's own
// code, as test/conformance/oracle wrote them down.
package oracle

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/core/place"
)

func TestEligibleAgreesWithUpstream(t *testing.T) {
	file, err := os.Open("testdata/eligible.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	verdicts := map[outcome]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var q struct {
			Template corev1.PodSpec
			Node     corev1.Node
			Run      bool
			Continue bool
		}
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
		ds := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: q.Template}}}
		got := place.Eligible(place.ForDaemon(ds), &q.Node)
		if got.Run != q.Run || got.Continue != q.Continue {
			t.Errorf("line %d: got run %t, continue %t, want %t, %t; reasons %v", n, got.Run, got.Continue, q.Run, q.Continue, got.Reasons)
		}
		verdicts[outcome{q.Run, q.Continue}]++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	// Situations that all end alike would prove nothing.
	for _, o := range []outcome{{true, true}, {false, true}, {false, false}} {
		if verdicts[o] < 25 {
			t.Errorf("only %d situations end in %+v", verdicts[o], o)
		}
	}
}

type outcome struct{ run, stay bool }
