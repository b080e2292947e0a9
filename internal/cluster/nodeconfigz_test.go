package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/garrison-project/garrison/internal/agent/node"
)

func TestKubeletConfiguration(t *testing.T) {
	thresholds, err := node.ParseThresholds(node.DefaultEviction)
	if err != nil {
		t.Fatal(err)
	}
	a := &nodeAgent{cfg: AgentConfig{
		RuntimeEndpoint: "unix:///run/crio.sock", HealthzPort: DefaultHealthzPort, HealthzAddress: "127.0.0.1",
		Node: node.Settings{Port: 10250, MaxPods: 110, Eviction: thresholds, SystemReserved: corev1.ResourceList{"cpu": resource.MustParse("200m")}},
	}}
	got := a.kubeletConfiguration()
	if got.Kind != "KubeletConfiguration" || got.Port != 10250 || *got.HealthzPort != 10248 || got.MaxPods != 110 || got.NodeLeaseDurationSeconds != 40 ||
		got.ContainerLogMaxSize != "10Mi" || got.ContainerRuntimeEndpoint != "unix:///run/crio.sock" || *got.Authentication.Anonymous.Enabled {
		t.Errorf("got %+v", got)
	}
	want := map[string]string{
		"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%", "imagefs.available": "15%", "imagefs.inodesFree": "5%",
	}
	if diff := cmp.Diff(want, got.EvictionHard); diff != "" {
		t.Errorf("thresholds (-want +got):\n%s", diff)
	}
	shown, err := a.configuration()
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(shown); strings.Contains(text, "0s") || !strings.Contains(text, "anonymous:map[enabled:false]") || !strings.Contains(text, "mode:Webhook") {
		t.Errorf("it shows %s", text)
	}
	if diff := cmp.Diff(map[string]string{"cpu": "200m"}, got.SystemReserved); diff != "" {
		t.Errorf("reserved (-want +got):\n%s", diff)
	}
}
