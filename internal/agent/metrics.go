package agent

import (
	"time"

	"k8s.io/component-base/metrics"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// measures are the numbers of an agent, by the names that kubelets give them.
type measures struct {
	registry          metrics.KubeRegistry
	podStart          *metrics.Histogram
	startedPods       *metrics.Counter
	podErrors         *metrics.CounterVec
	startedContainers *metrics.CounterVec
	containerErrors   *metrics.CounterVec
	preemptions       *metrics.CounterVec
	looks             *metrics.Histogram
}

// podStartBuckets are seconds.
var podStartBuckets = []float64{
	0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600,
}

func newMeasures(a *Agent) *measures {
	counter := func(name, help string) *metrics.CounterOpts {
		return &metrics.CounterOpts{Subsystem: "kubelet", Name: name, Help: help, StabilityLevel: metrics.ALPHA}
	}
	histogram := func(name, help string, buckets []float64) *metrics.Histogram {
		return metrics.NewHistogram(&metrics.HistogramOpts{
			Subsystem: "kubelet", Name: name, Help: help, Buckets: buckets, StabilityLevel: metrics.ALPHA,
		})
	}
	g := &measures{
		registry:          metrics.NewKubeRegistry(),
		podStart:          histogram("pod_start_duration_seconds", "Duration in seconds from the agent seeing a pod for the first time to the pod starting to run", podStartBuckets),
		startedPods:       metrics.NewCounter(counter("started_pods_total", "Cumulative number of pods started")),
		podErrors:         metrics.NewCounterVec(counter("started_pods_errors_total", "Cumulative number of errors when starting pods"), nil),
		startedContainers: metrics.NewCounterVec(counter("started_containers_total", "Cumulative number of containers started"), []string{"container_type"}),
		containerErrors:   metrics.NewCounterVec(counter("started_containers_errors_total", "Cumulative number of errors when starting containers"), []string{"container_type", "code"}),
		preemptions:       metrics.NewCounterVec(counter("preemptions", "Cumulative number of pod preemptions by preemption resource"), []string{"preemption_signal"}),
		looks:             histogram("pleg_relist_duration_seconds", "Duration in seconds for looking at all that the container runtime holds.", metrics.DefBuckets),
	}
	node := metrics.NewGaugeVec(&metrics.GaugeOpts{
		Subsystem: "kubelet", Name: "node_name", Help: "The node's name. The count is always 1.", StabilityLevel: metrics.ALPHA,
	}, []string{"node"})
	g.registry.MustRegister(g.podStart, g.startedPods, g.podErrors, g.startedContainers, g.containerErrors, g.preemptions, g.looks, node)
	g.registry.CustomMustRegister(&sightCollector{sight: a.sight})
	node.WithLabelValues(a.Settings.NodeName).Set(1)
	return g
}

// Metrics are the numbers of the agent.
func (a *Agent) Metrics() metrics.Gatherer { return a.measures.registry }

// ended counts an operation that has ended.
func (g *measures) ended(t *task, c conclusion) {
	reason := c.outcome.Reason
	switch {
	case c.cancelled && reason != "":
	case t.Kind == podstep.CreateSandbox:
		g.startedPods.Inc()
		if reason != "" {
			g.podErrors.WithLabelValues().Inc()
		}
	case t.Kind == podstep.StartContainer:
		g.startedContainers.WithLabelValues(containerType(t)).Inc()
		if reason != "" {
			g.containerErrors.WithLabelValues(containerType(t), reason).Inc()
		}
	}
}

func containerType(t *task) string {
	switch fieldPath(t.pod, t.Container) {
	case "spec.initContainers{" + t.Container + "}":
		return "init_container"
	case "spec.ephemeralContainers{" + t.Container + "}":
		return "ephemeral_container"
	}
	return "container"
}

// noteStart observes how long a pod took from its admission until it ran; one that an
// earlier agent has admitted is not counted.
func (a *Agent) noteStart(p *pod, phase podstep.Phase) {
	if phase != podstep.PhaseRunning {
		return
	}
	p.mu.Lock()
	began := p.seen
	p.seen = time.Time{}
	p.mu.Unlock()
	if !began.IsZero() {
		a.measures.podStart.Observe(a.Clock.Since(began).Seconds())
	}
}

var (
	runningPods       = metrics.NewDesc("kubelet_running_pods", "Number of pods that have a running pod sandbox", nil, nil, metrics.ALPHA, "")
	runningContainers = metrics.NewDesc("kubelet_running_containers", "Number of containers currently running", []string{"container_state"}, nil, metrics.ALPHA, "")
)

// containerStates are the names of states, in their order.
var containerStates = []struct {
	state podstep.ContainerState
	name  string
}{{podstep.Created, "created"}, {podstep.Exited, "exited"}, {podstep.Running, "running"}, {podstep.Unknown, "unknown"}}

// sightCollector counts what the runtime was last seen to hold.
type sightCollector struct {
	metrics.BaseStableCollector
	sight *sight
}

// DescribeWithStability implements metrics.StableCollector.
func (c *sightCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	ch <- runningPods
	ch <- runningContainers
}

// CollectWithStability implements metrics.StableCollector.
func (c *sightCollector) CollectWithStability(ch chan<- metrics.Metric) {
	pods, containers := 0, map[podstep.ContainerState]int{}
	for _, h := range c.sight.all() {
		for _, s := range h.Sandboxes {
			if s.Ready {
				pods++
				break
			}
		}
		for _, r := range h.Containers {
			containers[r.State]++
		}
	}
	ch <- metrics.NewLazyConstMetric(runningPods, metrics.GaugeValue, float64(pods))
	for _, s := range containerStates {
		if n := containers[s.state]; n > 0 {
			ch <- metrics.NewLazyConstMetric(runningContainers, metrics.GaugeValue, float64(n), s.name)
		}
	}
}
