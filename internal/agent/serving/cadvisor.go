package serving

import (
	"context"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/cri"
	"github.com/garrison-project/garrison/internal/agent/machine"
)

// The metrics of /metrics/cadvisor, by the names and labels that dashboards know from
// kubelets, as far as the runtime measures what they tell.
var (
	whoLabels     = []string{"container", "id", "image", "name", "namespace", "pod"}
	machineLabels = []string{"boot_id", "machine_id", "system_uuid"}

	advisorCPU        = advise("container_cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", "cpu")
	advisorMemory     = advise("container_memory_usage_bytes", "Current memory usage in bytes, including all memory regardless of when it was accessed")
	advisorWorkingSet = advise("container_memory_working_set_bytes", "Current working set in bytes.")
	advisorRSS        = advise("container_memory_rss", "Size of RSS in bytes.")
	advisorSwap       = advise("container_memory_swap", "Container swap usage in bytes.")
	advisorFaults     = advise("container_memory_failures_total", "Cumulative count of memory allocation failures.", "failure_type", "scope")
	advisorReceived   = advise("container_network_receive_bytes_total", "Cumulative count of bytes received", "interface")
	advisorRxErrors   = advise("container_network_receive_errors_total", "Cumulative count of errors encountered while receiving", "interface")
	advisorSent       = advise("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted", "interface")
	advisorTxErrors   = advise("container_network_transmit_errors_total", "Cumulative count of errors encountered while transmitting", "interface")
	advisorFiles      = advise("container_fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.", "device")
	advisorFileLimit  = advise("container_fs_limit_bytes", "Number of bytes that can be consumed by the container on this filesystem.", "device")
	advisorInodes     = advise("container_fs_inodes_total", "Number of Inodes", "device")
	advisorInodesFree = advise("container_fs_inodes_free", "Number of available Inodes", "device")
	advisorStarted    = advise("container_start_time_seconds", "Start time of the container since unix epoch in seconds.")
	advisorSeen       = advise("container_last_seen", "Last time a container was seen by the exporter")
	advisorPeriod     = advise("container_spec_cpu_period", "CPU period of the container.")
	advisorQuota      = advise("container_spec_cpu_quota", "CPU quota of the container.")
	advisorShares     = advise("container_spec_cpu_shares", "CPU share of the container.")
	advisorLimit      = advise("container_spec_memory_limit_bytes", "Memory limit for the container.")
	advisorError      = metrics.NewDesc("container_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", nil, nil, metrics.ALPHA, "")

	machineCores  = metrics.NewDesc("machine_cpu_cores", "Number of logical CPU cores.", machineLabels, nil, metrics.ALPHA, "")
	machineMemory = metrics.NewDesc("machine_memory_bytes", "Amount of memory installed on the machine.", machineLabels, nil, metrics.ALPHA, "")
	machineSwap   = metrics.NewDesc("machine_swap_bytes", "Amount of swap memory available on the machine.", machineLabels, nil, metrics.ALPHA, "")

	advisorDescs = []*metrics.Desc{
		advisorCPU, advisorMemory, advisorWorkingSet, advisorRSS, advisorSwap, advisorFaults, advisorReceived, advisorRxErrors, advisorSent, advisorTxErrors,
		advisorFiles, advisorFileLimit, advisorInodes, advisorInodesFree, advisorStarted, advisorSeen, advisorPeriod, advisorQuota, advisorShares, advisorLimit,
		advisorError, machineCores, machineMemory, machineSwap,
	}
)

func advise(name, help string, more ...string) *metrics.Desc {
	return metrics.NewDesc(name, help, append(append([]string{}, whoLabels...), more...), nil, metrics.ALPHA, "")
}

func newAdvisorMetrics(s *summary) http.Handler {
	registry := metrics.NewKubeRegistry()
	registry.CustomMustRegister(&advisor{summary: s})
	return metrics.HandlerFor(registry, metrics.HandlerOpts{ErrorHandling: metrics.ContinueOnError})
}

type advisor struct {
	metrics.BaseStableCollector
	summary *summary
}

// DescribeWithStability implements metrics.StableCollector.
func (a *advisor) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, d := range advisorDescs {
		ch <- d
	}
}

// CollectWithStability implements metrics.StableCollector.
func (a *advisor) CollectWithStability(ch chan<- metrics.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	failed := 0.0
	if err := a.collect(ctx, advice{ch: ch}); err != nil {
		klog.Background().Error(err, "What containers use cannot be measured")
		failed = 1
	}
	ch <- metrics.NewLazyConstMetric(advisorError, metrics.GaugeValue, failed)
}

func (a *advisor) collect(ctx context.Context, out advice) error {
	found, err := a.summary.take(ctx)
	if err != nil {
		return err
	}
	facts, err := a.summary.Machine.Facts()
	if err != nil {
		return err
	}
	network, err := a.summary.Machine.Network()
	if err != nil {
		return err
	}
	images, err := machine.ReadFilesystem(a.summary.ImageDir)
	if err != nil {
		return err
	}
	out.machine(facts)
	out.whole(&found.Node, network, images)
	for i := range found.Pods {
		if err := a.pod(ctx, out, &found.Pods[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *advisor) pod(ctx context.Context, out advice, p *statsapi.PodStats) error {
	found, known := a.summary.Pods.Find(types.NamespacedName{Namespace: p.PodRef.Namespace, Name: p.PodRef.Name}, types.UID(p.PodRef.UID))
	group, err := a.summary.Runtime.ControlGroup(ctx, p.PodRef.UID)
	if err != nil {
		return err
	}
	out.who = []string{"", group.Pod, "", "", p.PodRef.Namespace, p.PodRef.Name}
	out.usage(p.CPU, p.Memory)
	if p.Network != nil && !(known && found.Object.Spec.HostNetwork) {
		for _, i := range p.Network.Interfaces {
			out.network(p.Network.Time.Time, i)
		}
	}
	for _, c := range p.Containers {
		record, _ := found.Container(c.Name, false)
		out.who = []string{c.Name, group.Container(record.ID), record.Image, record.ID, p.PodRef.Namespace, p.PodRef.Name}
		out.container(c)
		if known {
			out.spec(agent.ContainerNamed(found.Object, c.Name))
		}
	}
	return nil
}

// advice takes metrics of one container, pod, or the whole machine.
type advice struct {
	ch  chan<- metrics.Metric
	who []string // values of whoLabels
}

func (a advice) gauge(desc *metrics.Desc, value float64, more ...string) {
	a.ch <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, value, append(append([]string{}, a.who...), more...)...)
}

// measured is a value, if there is one, with the time at which it was measured.
func (a advice) measured(desc *metrics.Desc, kind metrics.ValueType, at time.Time, value *uint64, more ...string) {
	if value == nil {
		return
	}
	scaled := float64(*value)
	if desc == advisorCPU {
		scaled /= 1e9
	}
	metric := metrics.NewLazyConstMetric(desc, kind, scaled, append(append([]string{}, a.who...), more...)...)
	if at.IsZero() {
		a.ch <- metric
		return
	}
	a.ch <- metrics.NewLazyMetricWithTimestamp(at, metric)
}

func (a advice) usage(cpu *statsapi.CPUStats, memory *statsapi.MemoryStats) {
	if cpu != nil {
		a.measured(advisorCPU, metrics.CounterValue, cpu.Time.Time, cpu.UsageCoreNanoSeconds, "total")
	}
	if memory != nil {
		at := memory.Time.Time
		a.measured(advisorMemory, metrics.GaugeValue, at, memory.UsageBytes)
		a.measured(advisorWorkingSet, metrics.GaugeValue, at, memory.WorkingSetBytes)
		a.measured(advisorRSS, metrics.GaugeValue, at, memory.RSSBytes)
		a.measured(advisorFaults, metrics.CounterValue, at, memory.PageFaults, "pgfault", "container")
		a.measured(advisorFaults, metrics.CounterValue, at, memory.MajorPageFaults, "pgmajfault", "container")
	}
}

func (a advice) network(at time.Time, i statsapi.InterfaceStats) {
	a.measured(advisorReceived, metrics.CounterValue, at, i.RxBytes, i.Name)
	a.measured(advisorRxErrors, metrics.CounterValue, at, i.RxErrors, i.Name)
	a.measured(advisorSent, metrics.CounterValue, at, i.TxBytes, i.Name)
	a.measured(advisorTxErrors, metrics.CounterValue, at, i.TxErrors, i.Name)
}

func (a advice) container(c statsapi.ContainerStats) {
	a.usage(c.CPU, c.Memory)
	if c.Swap != nil {
		a.measured(advisorSwap, metrics.GaugeValue, c.Swap.Time.Time, c.Swap.SwapUsageBytes)
	}
	if c.Rootfs != nil {
		a.measured(advisorFiles, metrics.GaugeValue, c.Rootfs.Time.Time, c.Rootfs.UsedBytes, "")
	}
	a.gauge(advisorStarted, float64(c.StartTime.Unix()))
	a.gauge(advisorSeen, float64(time.Now().Unix()))
}

func (a advice) spec(c *corev1.Container) {
	if c == nil {
		return
	}
	told := cri.LinuxResources(c.Resources.Requests, c.Resources.Limits)
	if told.CpuQuota > 0 {
		a.gauge(advisorPeriod, float64(told.CpuPeriod))
		a.gauge(advisorQuota, float64(told.CpuQuota))
	}
	a.gauge(advisorShares, float64(told.CpuShares))
	a.gauge(advisorLimit, float64(told.MemoryLimitInBytes))
}

// whole is the machine with all that runs on it, which is called "/".
func (a advice) whole(n *statsapi.NodeStats, network machine.Network, images machine.Filesystem) {
	a.who = []string{"", "/", "", "", "", ""}
	a.usage(n.CPU, n.Memory)
	now := n.CPU.Time
	for _, i := range networkStats(now, network).Interfaces {
		a.network(now.Time, i)
	}
	files := fsStats(now, images)
	for desc, value := range map[*metrics.Desc]*uint64{
		advisorFiles: files.UsedBytes, advisorFileLimit: files.CapacityBytes, advisorInodes: files.Inodes, advisorInodesFree: files.InodesFree,
	} {
		a.measured(desc, metrics.GaugeValue, now.Time, value, "")
	}
}

func (a advice) machine(f machine.Facts) {
	for desc, value := range map[*metrics.Desc]int64{machineCores: int64(f.Cores), machineMemory: f.Memory, machineSwap: f.Swap} {
		a.ch <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, float64(value), f.BootID, f.MachineID, f.SystemUUID)
	}
}
