package cri

import (
	"context"
	"path"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc"
	"k8s.io/component-base/metrics"
)

// operations counts the requests to the runtime, as kubelets do.
type operations struct {
	registry      metrics.KubeRegistry
	total, failed *metrics.CounterVec
	duration      *metrics.HistogramVec
}

func newOperations() *operations {
	labels := []string{"operation_type"}
	counter := func(name, help string) *metrics.CounterVec {
		return metrics.NewCounterVec(&metrics.CounterOpts{Subsystem: "kubelet", Name: name, Help: help, StabilityLevel: metrics.ALPHA}, labels)
	}
	o := &operations{
		registry: metrics.NewKubeRegistry(),
		total:    counter("runtime_operations_total", "Cumulative number of runtime operations by operation type."),
		failed:   counter("runtime_operations_errors_total", "Cumulative number of runtime operation errors by operation type."),
		duration: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Subsystem: "kubelet", Name: "runtime_operations_duration_seconds", StabilityLevel: metrics.ALPHA,
			Help:    "Duration in seconds of runtime operations. Broken down by operation type.",
			Buckets: metrics.ExponentialBuckets(.005, 2.5, 14),
		}, labels),
	}
	o.registry.MustRegister(o.total, o.failed, o.duration)
	return o
}

// Metrics are the numbers of requests to the runtime.
func (r *Runtime) Metrics() metrics.Gatherer { return r.operations.registry }

// count is around each request.
func (o *operations) count(ctx context.Context, method string, request, reply any, c *grpc.ClientConn, call grpc.UnaryInvoker, options ...grpc.CallOption) error {
	began, name := time.Now(), operationName(path.Base(method))
	err := call(ctx, method, request, reply, c, options...)
	o.total.WithLabelValues(name).Inc()
	o.duration.WithLabelValues(name).Observe(time.Since(began).Seconds())
	if err != nil {
		o.failed.WithLabelValues(name).Inc()
	}
	return err
}

// operationName is how kubelets call a method: ListPodSandbox is list_podsandbox.
func operationName(method string) string {
	var b strings.Builder
	for i, c := range strings.ReplaceAll(method, "PodSandbox", "Podsandbox") {
		if unicode.IsUpper(c) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
