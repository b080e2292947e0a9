package cluster

import (
	"context"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/core/place/placetest"
)

// A pod that only one node will do for has that node from the start, and is heard of
// as any other that was scheduled.
func TestPinnedPodsAreCreatedBound(t *testing.T) {
	c := startCluster(t, Config{DataDir: filepath.Join(t.TempDir(), "data"), SimulateNodes: 1})
	defer stopCluster(t, c)
	nodes, err := c.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 1 {
		t.Fatalf("%d nodes, %v", len(nodes.Items), err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pinned-"},
		Spec: corev1.PodSpec{
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers:  []corev1.Container{{Name: "c", Image: "i"}},
		},
	}
	placetest.Pin(&pod.Spec, nodes.Items[0].Name)
	var bound *corev1.Pod
	eventually(t, "a pod that is created bound", func(ctx context.Context) (bool, error) {
		// The first may come before the scheduler knows the node.
		created, err := c.Client().CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{})
		if err == nil && created.Spec.NodeName == nodes.Items[0].Name {
			bound = created
		}
		return bound != nil, err
	})
	eventually(t, "the event Scheduled", func(ctx context.Context) (bool, error) {
		events, err := c.Client().CoreV1().Events("default").List(ctx, metav1.ListOptions{
			FieldSelector: "reason=Scheduled,involvedObject.uid=" + string(bound.UID),
		})
		return err == nil && len(events.Items) == 1, err
	})
}
