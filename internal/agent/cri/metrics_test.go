package cri

import (
	"strings"
	"testing"

	"k8s.io/component-base/metrics/testutil"
)

func TestRequestsAreCounted(t *testing.T) {
	f := &fake{}
	f.pod("a", ready, running)
	r := serveFake(t, f)
	for range 2 {
		if _, err := r.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Stats(t.Context()); err == nil { // which the fake cannot tell
		t.Fatal("there are statistics")
	}
	want := `
# HELP kubelet_runtime_operations_errors_total [ALPHA] Cumulative number of runtime operation errors by operation type.
# TYPE kubelet_runtime_operations_errors_total counter
kubelet_runtime_operations_errors_total{operation_type="list_container_stats"} 1
kubelet_runtime_operations_errors_total{operation_type="list_podsandbox_stats"} 1
kubelet_runtime_operations_errors_total{operation_type="podsandbox_stats"} 1
# HELP kubelet_runtime_operations_total [ALPHA] Cumulative number of runtime operations by operation type.
# TYPE kubelet_runtime_operations_total counter
kubelet_runtime_operations_total{operation_type="container_status"} 1
kubelet_runtime_operations_total{operation_type="list_container_stats"} 1
kubelet_runtime_operations_total{operation_type="list_containers"} 3
kubelet_runtime_operations_total{operation_type="list_podsandbox"} 3
kubelet_runtime_operations_total{operation_type="list_podsandbox_stats"} 1
kubelet_runtime_operations_total{operation_type="podsandbox_stats"} 1
kubelet_runtime_operations_total{operation_type="podsandbox_status"} 1
`
	if err := testutil.GatherAndCompare(r.Metrics(), strings.NewReader(want), "kubelet_runtime_operations_total", "kubelet_runtime_operations_errors_total"); err != nil {
		t.Error(err)
	}
}
