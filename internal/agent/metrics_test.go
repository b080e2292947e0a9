package agent_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/component-base/metrics/testutil"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer func() { w.stop(); w.api.source.Broadcaster.Shutdown() }()
		w.runtime.AddImage("busybox")
		w.run(time.Second)
		create := func(text string) {
			for _, pod := range w.pods(text) {
				if _, err := w.api.CreatePod(t.Context(), pod); err != nil {
					t.Fatal(err)
				}
			}
			w.run(4 * time.Second)
		}
		create(`
metadata: {name: a}
spec: {containers: [{name: web, image: busybox, imagePullPolicy: IfNotPresent, resources: {requests: {cpu: "1"}}}], initContainers: [{name: first, image: busybox, imagePullPolicy: IfNotPresent, command: [simulate, --exit-code=0]}]}
---
metadata: {name: broken}
spec: {containers: [{name: web, image: busybox, imagePullPolicy: IfNotPresent, command: [simulate, --start-error=no]}]}
`)
		create("metadata: {name: critical}\nspec: {priority: 2000000000, containers: [{name: web, image: busybox, imagePullPolicy: IfNotPresent, resources: {requests: {cpu: \"2\"}}}]}")
		want := `
# HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.
# TYPE kubelet_node_name gauge
kubelet_node_name{node="node-a"} 1
# HELP kubelet_preemptions [ALPHA] Cumulative number of pod preemptions by preemption resource
# TYPE kubelet_preemptions counter
kubelet_preemptions{preemption_signal="cpu"} 1
# HELP kubelet_running_pods [ALPHA] Number of pods that have a running pod sandbox
# TYPE kubelet_running_pods gauge
kubelet_running_pods 2
# HELP kubelet_started_pods_total [ALPHA] Cumulative number of pods started
# TYPE kubelet_started_pods_total counter
kubelet_started_pods_total 3
`
		if err := testutil.GatherAndCompare(w.agent.Metrics(), strings.NewReader(want),
			"kubelet_node_name", "kubelet_preemptions", "kubelet_running_pods", "kubelet_started_pods_total"); err != nil {
			t.Error(err)
		}
		families, err := w.agent.Metrics().Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := f.GetName()
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		for name, want := range map[string]float64{
			// One whose container does not start, tried again at once, counts as running.
			"kubelet_pod_start_duration_seconds":                                  3,
			"kubelet_running_containers running":                                  1,
			"kubelet_started_containers_total init_container":                     1,
			"kubelet_started_containers_total container":                          4,
			"kubelet_started_containers_errors_total RunContainerError container": 2,
			"kubelet_pleg_relist_duration_seconds":                                max(1, got["kubelet_pleg_relist_duration_seconds"]),
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
	})
}
