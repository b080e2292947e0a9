package serving

import (
	"context"
	"net/http"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// The metrics of /metrics/resource, from which kubectl top has its figures.
var (
	podLabels       = []string{"pod", "namespace"}
	containerLabels = []string{"container", "pod", "namespace"}

	nodeCPU         = describe("node_cpu_usage_seconds_total", "Cumulative cpu time consumed by the node in core-seconds")
	nodeMemory      = describe("node_memory_working_set_bytes", "Current working set of the node in bytes")
	podCPU          = describe("pod_cpu_usage_seconds_total", "Cumulative cpu time consumed by the pod in core-seconds", podLabels...)
	podMemory       = describe("pod_memory_working_set_bytes", "Current working set of the pod in bytes", podLabels...)
	containerCPU    = describe("container_cpu_usage_seconds_total", "Cumulative cpu time consumed by the container in core-seconds", containerLabels...)
	containerMemory = describe("container_memory_working_set_bytes", "Current working set of the container in bytes", containerLabels...)
	containerStart  = describe("container_start_time_seconds", "Start time of the container since unix epoch in seconds", containerLabels...)
	scrapeError     = describe("resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise")
)

func describe(name, help string, labels ...string) *metrics.Desc {
	return metrics.NewDesc(name, help, labels, nil, metrics.STABLE, "")
}

// newResourceMetrics serves the metrics of what s measures, anew for each request.
func newResourceMetrics(s *summary) http.Handler {
	registry := metrics.NewKubeRegistry()
	registry.CustomMustRegister(&resourceCollector{summary: s})
	return metrics.HandlerFor(registry, metrics.HandlerOpts{ErrorHandling: metrics.ContinueOnError})
}

// scrapeTimeout bounds one measurement.
const scrapeTimeout = 30 * time.Second

type resourceCollector struct {
	metrics.BaseStableCollector
	summary *summary
}

// DescribeWithStability implements metrics.StableCollector.
func (c *resourceCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, d := range []*metrics.Desc{nodeCPU, nodeMemory, podCPU, podMemory, containerCPU, containerMemory, containerStart, scrapeError} {
		ch <- d
	}
}

// CollectWithStability implements metrics.StableCollector.
func (c *resourceCollector) CollectWithStability(ch chan<- metrics.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	found, err := c.summary.take(ctx)
	if err != nil {
		klog.Background().Error(err, "What pods use cannot be measured")
		ch <- metrics.NewLazyConstMetric(scrapeError, metrics.GaugeValue, 1)
		return
	}
	ch <- metrics.NewLazyConstMetric(scrapeError, metrics.GaugeValue, 0)
	measured(ch).usage(nodeCPU, nodeMemory, found.Node.CPU, found.Node.Memory)
	for _, p := range found.Pods {
		measured(ch).usage(podCPU, podMemory, p.CPU, p.Memory, p.PodRef.Name, p.PodRef.Namespace)
		for _, c := range p.Containers {
			labels := []string{c.Name, p.PodRef.Name, p.PodRef.Namespace}
			measured(ch).usage(containerCPU, containerMemory, c.CPU, c.Memory, labels...)
			if !c.StartTime.IsZero() {
				ch <- metrics.NewLazyConstMetric(containerStart, metrics.GaugeValue, float64(c.StartTime.UnixNano())/1e9, labels...)
			}
		}
	}
}

// measured takes metrics with the times at which they were measured.
type measured chan<- metrics.Metric

func (ch measured) usage(cpuDesc, memoryDesc *metrics.Desc, cpu *statsapi.CPUStats, memory *statsapi.MemoryStats, labels ...string) {
	if cpu != nil && cpu.UsageCoreNanoSeconds != nil {
		ch <- metrics.NewLazyMetricWithTimestamp(cpu.Time.Time,
			metrics.NewLazyConstMetric(cpuDesc, metrics.CounterValue, float64(*cpu.UsageCoreNanoSeconds)/1e9, labels...))
	}
	if memory != nil && memory.WorkingSetBytes != nil {
		ch <- metrics.NewLazyMetricWithTimestamp(memory.Time.Time,
			metrics.NewLazyConstMetric(memoryDesc, metrics.GaugeValue, float64(*memory.WorkingSetBytes), labels...))
	}
}
