package scheduler

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/garrison-project/garrison/internal/core/place/placetest"
)

// noWriter accepts everything, so that only the scheduler's own work counts.
type noWriter struct{}

func (noWriter) BindPod(context.Context, *corev1.Binding) error { return nil }
func (noWriter) UpdatePodStatus(_ context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return pod, nil
}
func (noWriter) DeletePod(context.Context, types.NamespacedName, metav1.DeleteOptions) error {
	return nil
}
func (noWriter) CreateEvent(_ context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	return e, nil
}

// BenchmarkSchedule is what one pod costs apart from its writes: its arrival,
// the decision, and the news that it is bound.
func BenchmarkSchedule(b *testing.B) {
	for _, c := range []struct {
		name  string
		nodes int
		pod   string
	}{
		{"pinned/nodes=5000", 5000, "cpu:1m pin:w-%d"},
		{"pinned/nodes=15000", 15000, "cpu:1m pin:w-%d"},
		{"plain/nodes=100", 100, "cpu:1m #%d"},
		{"plain/nodes=5000", 5000, "cpu:1m #%d"},
		{"spread/nodes=1000", 1000, "app=x cpu:1m #%d\ntopologySpreadConstraints:\n- {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: x}}}"},
		{"alone/nodes=1000", 1000, "app=y cpu:1m #%d\naffinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: x}}}]}}"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, err := New(Options{Writer: noWriter{}, Informers: informers.NewSharedInformerFactory(fake.NewClientset(), 0)})
			if err != nil {
				b.Fatal(err)
			}
			for i := range c.nodes {
				n, err := placetest.Node(fmt.Sprintf("w-%d zone=%d kubernetes.io/hostname=w-%d pods:1000000", i, i%3, i))
				if err != nil {
					b.Fatal(err)
				}
				s.setNode(n)
			}
			pods := make([]*corev1.Pod, b.N)
			for i := range pods {
				pod, err := placetest.Pod(fmt.Sprintf("p-%d "+c.pod, i, i%c.nodes))
				if err != nil {
					b.Fatal(err)
				}
				pods[i] = pod
			}
			b.ReportAllocs()
			b.ResetTimer()
			for _, pod := range pods {
				s.setPod(pod)
				if _, err := s.Step(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if len(s.queue.entries) > 0 {
				b.Fatalf("%d pods were not bound", len(s.queue.entries))
			}
		})
	}
}
