package probe

import (
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-base/metrics"
)

// measures counts probes, as kubelets do.
type measures struct {
	registry metrics.KubeRegistry
	total    *metrics.CounterVec
	duration *metrics.HistogramVec
}

func newMeasures() *measures {
	g := &measures{
		registry: metrics.NewKubeRegistry(),
		total: metrics.NewCounterVec(&metrics.CounterOpts{
			Name: "prober_probe_total", StabilityLevel: metrics.BETA,
			Help: "Cumulative number of a liveness, readiness or startup probe for a container by result.",
		}, []string{"probe_type", "result", "container", "pod", "namespace", "pod_uid"}),
		duration: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Name: "prober_probe_duration_seconds", StabilityLevel: metrics.ALPHA,
			Help: "Duration in seconds for a probe response.",
		}, []string{"probe_type", "container", "pod", "namespace"}),
	}
	g.registry.MustRegister(g.total, g.duration)
	return g
}

// Metrics serves the numbers of probes.
func (p *Prober) Metrics() http.Handler {
	return metrics.HandlerFor(p.measures.registry, metrics.HandlerOpts{ErrorHandling: metrics.ContinueOnError})
}

// probed is one probe of a container.
type probed struct {
	kind      kind
	pod       *corev1.Pod
	container string
}

// count books how a probe ended: an error tells nothing of the container.
func (g *measures) count(p probed, took time.Duration, a answer, err error) {
	result := "successful"
	switch {
	case err != nil:
		result = "unknown"
	case a.grade == failure:
		result = "failed"
	}
	g.total.WithLabelValues(p.kind.String(), result, p.container, p.pod.Name, p.pod.Namespace, string(p.pod.UID)).Inc()
	if err == nil {
		g.duration.WithLabelValues(p.kind.String(), p.container, p.pod.Name, p.pod.Namespace).Observe(took.Seconds())
	}
}

// forget drops the numbers of one attempt's probes, lest those of all pods that ever
// were are kept.
func (g *measures) forget(pod *corev1.Pod, container string) {
	for _, k := range kinds {
		labels := map[string]string{"probe_type": k.String(), "container": container, "pod": pod.Name, "namespace": pod.Namespace}
		g.duration.Delete(labels)
		labels["pod_uid"] = string(pod.UID)
		for _, labels["result"] = range []string{"successful", "failed", "unknown"} {
			g.total.Delete(labels)
		}
	}
}
