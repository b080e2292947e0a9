package writer_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/writer"
)

// BenchmarkPod measures what a daemon pod costs from nothing to running: one
// create, bound to its node, and one update of its status.
func BenchmarkPod(b *testing.B) {
	s := startServer(b)
	prepare(b, s.Client())
	var n atomic.Int64
	for name, w := range map[string]writer.Writer{
		"direct": s.Writer(),
		"memory": writer.NewClient(s.Client()),
		"tls":    writer.NewClient(remoteClient(b, s)),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(25)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					pod, err := w.CreatePod(b.Context(), benchmarkPod(fmt.Sprint("pod-", n.Add(1))))
					if err == nil {
						pod.Status.Phase = corev1.PodRunning
						_, err = w.UpdatePodStatus(b.Context(), pod)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
