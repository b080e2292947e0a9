package server

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestBootstrap checks that a server is born with what every cluster has.
func TestBootstrap(t *testing.T) {
	client := shared.Client()
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		if _, err := client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	}
	service, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if service.Spec.ClusterIP != serviceIP {
		t.Errorf("service default/kubernetes has address %s, want %s", service.Spec.ClusterIP, serviceIP)
	}
	for name, want := range map[string]int32{"system-node-critical": 2000001000, "system-cluster-critical": 2000000000} {
		class, err := client.SchedulingV1().PriorityClasses().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if class.Value != want {
			t.Errorf("priority class %s has value %d, want %d", name, class.Value, want)
		}
	}
}
