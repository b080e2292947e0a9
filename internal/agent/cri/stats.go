package cri

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/garrison-project/garrison/internal/agent"
)

// rateInterval is the least time over which a rate of CPU usage is taken.
const rateInterval = time.Second

// usageSample is a reading of CPU time, and the rate when it was taken.
type usageSample struct {
	at    time.Time
	total uint64 // nanoseconds
	rate  *uint64
}

// Stats tells what the pods use that run, sorted by namespace and name. What the
// runtime does not measure is left out; volumes are not its business.
func (r *Runtime) Stats(ctx context.Context) ([]statsapi.PodStats, error) {
	now, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	readings := &readings{runtime: r, now: now, pods: map[agent.PodName]*statsapi.PodStats{}, seen: map[string]usageSample{}}
	for _, s := range r.sandboxStats(ctx, now) {
		readings.sandbox(s)
	}
	containers, err := r.runtime.ListContainerStats(ctx, &runtimeapi.ListContainerStatsRequest{
		Filter: &runtimeapi.ContainerStatsFilter{LabelSelector: r.ownLabels()},
	})
	if err != nil {
		return nil, fmt.Errorf("list what containers use: %w", plain(err))
	}
	for _, c := range containers.GetStats() {
		readings.container(c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.usage = readings.seen
	return readings.sorted(), nil
}

// sandboxStats tells what pods use as a whole. What cannot be measured is left out.
func (r *Runtime) sandboxStats(ctx context.Context, now inventory) []*runtimeapi.PodSandboxStats {
	all, err := r.runtime.ListPodSandboxStats(ctx, &runtimeapi.ListPodSandboxStatsRequest{
		Filter: &runtimeapi.PodSandboxStatsFilter{LabelSelector: r.ownLabels()},
	})
	if err == nil {
		return all.GetStats()
	}
	// Some versions cannot tell of any pod while one is not ready.
	var stats []*runtimeapi.PodSandboxStats
	for id, detail := range now.sandboxes {
		if detail.state != runtimeapi.PodSandboxState_SANDBOX_READY {
			continue
		}
		if one, err := r.runtime.PodSandboxStats(ctx, &runtimeapi.PodSandboxStatsRequest{PodSandboxId: id}); err == nil {
			stats = append(stats, one.GetStats())
		}
	}
	return stats
}

// readings gathers what was measured. The runtime is read under its lock.
type readings struct {
	runtime *Runtime
	now     inventory
	pods    map[agent.PodName]*statsapi.PodStats
	seen    map[string]usageSample
}

func (r *readings) pod(name agent.PodName) *statsapi.PodStats {
	p := r.pods[name]
	if p == nil {
		p = &statsapi.PodStats{PodRef: statsapi.PodReference{Name: name.Name, Namespace: name.Namespace, UID: string(name.UID)}}
		r.pods[name] = p
	}
	return p
}

func (r *readings) sandbox(s *runtimeapi.PodSandboxStats) {
	detail := r.now.sandboxes[s.GetAttributes().GetId()]
	if detail == nil || detail.state != runtimeapi.PodSandboxState_SANDBOX_READY {
		return
	}
	pod := r.pod(detail.pod)
	pod.StartTime = metav1.NewTime(detail.record.Created)
	linux := s.GetLinux()
	pod.CPU = r.cpu(detail.record.ID, linux.GetCpu())
	pod.Memory = memory(linux.GetMemory())
	pod.Network = network(linux.GetNetwork())
	if n := linux.GetProcess().GetProcessCount(); n != nil {
		pod.ProcessStats = &statsapi.ProcessStats{ProcessCount: &n.Value}
	}
}

func (r *readings) container(c *runtimeapi.ContainerStats) {
	detail := r.now.containers[c.GetAttributes().GetId()]
	if detail == nil || detail.state != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return
	}
	pod := r.pod(detail.pod)
	result := statsapi.ContainerStats{
		Name:      detail.record.Name,
		StartTime: metav1.NewTime(detail.record.Started),
		CPU:       r.cpu(detail.record.ID, c.GetCpu()),
		Memory:    memory(c.GetMemory()),
		Logs:      logUsage(detail.record.LogPath),
		Swap:      swap(c.GetSwap()),
	}
	if layer := c.GetWritableLayer(); layer.GetTimestamp() != 0 { // else it was not yet measured
		result.Rootfs = &statsapi.FsStats{
			Time: readAt(layer.GetTimestamp()), UsedBytes: value(layer.GetUsedBytes()), InodesUsed: value(layer.GetInodesUsed()),
		}
	}
	pod.Containers = append(pod.Containers, result)
}

// cpu gives the time used, and the rate since the reading before.
func (r *readings) cpu(id string, usage *runtimeapi.CpuUsage) *statsapi.CPUStats {
	if usage == nil {
		return nil
	}
	// Runtimes take rates, too, over the time between any two questions, which may
	// be too short to tell anything.
	result := &statsapi.CPUStats{Time: readAt(usage.GetTimestamp()), UsageCoreNanoSeconds: value(usage.GetUsageCoreNanoSeconds())}
	if result.UsageCoreNanoSeconds == nil {
		result.UsageNanoCores = value(usage.GetUsageNanoCores())
		return result
	}
	r.runtime.mu.Lock()
	before, known := r.runtime.usage[id]
	r.runtime.mu.Unlock()
	now := usageSample{at: result.Time.Time, total: *result.UsageCoreNanoSeconds}
	if passed := now.at.Sub(before.at); known && passed < rateInterval {
		now = before
	} else if known && now.total >= before.total {
		rate := uint64(float64(now.total-before.total) / passed.Seconds())
		now.rate = &rate
	}
	r.seen[id], result.UsageNanoCores = now, now.rate
	return result
}

// sorted gives the pods, each with its containers by name. A pod that was not
// measured as a whole is the sum of its containers.
func (r *readings) sorted() []statsapi.PodStats {
	result := make([]statsapi.PodStats, 0, len(r.pods))
	for _, p := range r.pods {
		slices.SortFunc(p.Containers, func(a, b statsapi.ContainerStats) int { return cmp.Compare(a.Name, b.Name) })
		sum(p)
		result = append(result, *p)
	}
	slices.SortFunc(result, func(a, b statsapi.PodStats) int {
		return cmp.Or(cmp.Compare(a.PodRef.Namespace, b.PodRef.Namespace), cmp.Compare(a.PodRef.Name, b.PodRef.Name), cmp.Compare(a.PodRef.UID, b.PodRef.UID))
	})
	return result
}

func sum(p *statsapi.PodStats) {
	wholeCPU, wholeMemory := p.CPU != nil, p.Memory != nil
	for _, c := range p.Containers {
		if p.StartTime.IsZero() || c.StartTime.Before(&p.StartTime) {
			p.StartTime = c.StartTime
		}
		if !wholeCPU && c.CPU != nil {
			if p.CPU == nil {
				p.CPU = &statsapi.CPUStats{Time: c.CPU.Time}
			}
			add(&p.CPU.UsageNanoCores, c.CPU.UsageNanoCores)
			add(&p.CPU.UsageCoreNanoSeconds, c.CPU.UsageCoreNanoSeconds)
		}
		if !wholeMemory && c.Memory != nil {
			if p.Memory == nil {
				p.Memory = &statsapi.MemoryStats{Time: c.Memory.Time}
			}
			add(&p.Memory.UsageBytes, c.Memory.UsageBytes)
			add(&p.Memory.WorkingSetBytes, c.Memory.WorkingSetBytes)
			add(&p.Memory.RSSBytes, c.Memory.RSSBytes)
		}
		if c.Swap != nil {
			if p.Swap == nil {
				p.Swap = &statsapi.SwapStats{Time: c.Swap.Time}
			}
			add(&p.Swap.SwapUsageBytes, c.Swap.SwapUsageBytes)
			add(&p.Swap.SwapAvailableBytes, c.Swap.SwapAvailableBytes)
		}
		for _, fs := range []*statsapi.FsStats{c.Rootfs, c.Logs} {
			if fs == nil || fs.UsedBytes == nil {
				continue
			}
			if p.EphemeralStorage == nil {
				p.EphemeralStorage = &statsapi.FsStats{Time: fs.Time}
			}
			add(&p.EphemeralStorage.UsedBytes, fs.UsedBytes)
			add(&p.EphemeralStorage.InodesUsed, fs.InodesUsed)
		}
	}
}

func swap(usage *runtimeapi.SwapUsage) *statsapi.SwapStats {
	if usage == nil {
		return nil
	}
	return &statsapi.SwapStats{
		Time: readAt(usage.GetTimestamp()), SwapAvailableBytes: value(usage.GetSwapAvailableBytes()), SwapUsageBytes: value(usage.GetSwapUsageBytes()),
	}
}

func add(total **uint64, part *uint64) {
	if part == nil {
		return
	}
	if *total == nil {
		*total = new(uint64)
	}
	**total += *part
}

func memory(usage *runtimeapi.MemoryUsage) *statsapi.MemoryStats {
	if usage == nil {
		return nil
	}
	available := value(usage.GetAvailableBytes())
	if available != nil && *available == 0 { // what containerd says without a limit
		available = nil
	}
	return &statsapi.MemoryStats{
		Time: readAt(usage.GetTimestamp()), AvailableBytes: available, UsageBytes: value(usage.GetUsageBytes()),
		WorkingSetBytes: value(usage.GetWorkingSetBytes()), RSSBytes: value(usage.GetRssBytes()),
		PageFaults: value(usage.GetPageFaults()), MajorPageFaults: value(usage.GetMajorPageFaults()),
	}
}

func network(usage *runtimeapi.NetworkUsage) *statsapi.NetworkStats {
	if usage == nil {
		return nil
	}
	result := &statsapi.NetworkStats{Time: readAt(usage.GetTimestamp())}
	if usage.GetDefaultInterface() != nil {
		result.InterfaceStats = networkInterface(usage.GetDefaultInterface())
		result.Interfaces = append(result.Interfaces, result.InterfaceStats)
	}
	for _, i := range usage.GetInterfaces() {
		result.Interfaces = append(result.Interfaces, networkInterface(i))
	}
	return result
}

func networkInterface(i *runtimeapi.NetworkInterfaceUsage) statsapi.InterfaceStats {
	return statsapi.InterfaceStats{
		Name: i.GetName(), RxBytes: value(i.GetRxBytes()), RxErrors: value(i.GetRxErrors()), TxBytes: value(i.GetTxBytes()), TxErrors: value(i.GetTxErrors()),
	}
}

// logUsage measures the logs of one container, of all its attempts.
func logUsage(log string) *statsapi.FsStats {
	if log == "" {
		return nil
	}
	var bytes, files uint64
	// A file that goes away meanwhile needs no room.
	_ = filepath.WalkDir(filepath.Dir(log), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			bytes += uint64(info.Size())
			files++
		}
		return nil
	})
	return &statsapi.FsStats{Time: metav1.Now(), UsedBytes: &bytes, InodesUsed: &files}
}

// readAt is when something was measured; where the runtime does not say, just now.
func readAt(nanoseconds int64) metav1.Time {
	if nanoseconds == 0 {
		return metav1.Now()
	}
	return metav1.NewTime(timeOf(nanoseconds))
}

func value(v *runtimeapi.UInt64Value) *uint64 {
	if v == nil {
		return nil
	}
	return &v.Value
}

// Filesystem is where the runtime keeps images, and what they use of it.
type Filesystem struct {
	Mountpoint string
	UsedBytes  uint64
	InodesUsed uint64
}

// ImageFilesystems tells where images are.
func (r *Runtime) ImageFilesystems(ctx context.Context) ([]Filesystem, error) {
	response, err := r.images.ImageFsInfo(ctx, &runtimeapi.ImageFsInfoRequest{})
	if err != nil {
		return nil, fmt.Errorf("ask where images are: %w", plain(err))
	}
	var result []Filesystem
	for _, f := range response.GetImageFilesystems() {
		result = append(result, Filesystem{
			Mountpoint: f.GetFsId().GetMountpoint(), UsedBytes: f.GetUsedBytes().GetValue(), InodesUsed: f.GetInodesUsed().GetValue(),
		})
	}
	return result, nil
}
