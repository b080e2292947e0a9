package serving

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/agent/machine"
)

// serveSummary tells what the machine and its pods use.
func (s *Server) serveSummary(w http.ResponseWriter, r *http.Request) {
	take := s.summary.all
	if only := r.URL.Query().Get("only_cpu_and_memory"); only == "true" || only == "1" {
		take = s.summary.reduced
	}
	found, err := take(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer(w, r, found)
}

// summary measures. Rates need the measurement before.
type summary struct {
	Options
	storage storage

	mu   sync.Mutex
	last sample
}

// sample is a reading of the machine's CPU time, and the rate then.
type sample struct {
	at   time.Time
	used time.Duration
	rate *uint64 // cores, in billionths
}

// rateInterval is the least time over which a rate is taken.
const rateInterval = time.Second

func (s *summary) take(ctx context.Context) (*statsapi.Summary, error) {
	pods, err := s.Runtime.Stats(ctx)
	if err != nil {
		return nil, err
	}
	if pods == nil {
		pods = []statsapi.PodStats{}
	}
	node, err := s.node()
	if err != nil {
		return nil, err
	}
	return &statsapi.Summary{Node: *node, Pods: pods}, nil
}

// all is what is used, files too.
func (s *summary) all(ctx context.Context) (*statsapi.Summary, error) {
	found, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	files, filesErr := machine.ReadFilesystem(s.StorageDir)
	images, imagesErr := machine.ReadFilesystem(s.ImageDir)
	network, networkErr := s.Machine.Network()
	if err := errors.Join(filesErr, imagesErr, networkErr); err != nil {
		return nil, err
	}
	now := metav1.Now()
	found.Node.Network = networkStats(now, network)
	found.Node.Fs = fsStats(now, files)
	found.Node.Runtime = &statsapi.RuntimeStats{ImageFs: fsStats(now, images), ContainerFs: fsStats(now, images)}
	s.storage.add(ctx, found.Pods, files, images)
	return found, nil
}

// reduced is CPU and memory alone.
func (s *summary) reduced(ctx context.Context) (*statsapi.Summary, error) {
	found, err := s.take(ctx)
	if err == nil {
		reduce(found)
	}
	return found, err
}

func (s *summary) node() (*statsapi.NodeStats, error) {
	booted, bootedErr := s.Machine.Booted()
	cpu, cpuErr := s.cpu(time.Now())
	memory, memoryErr := s.Machine.Memory()
	pids, pidsErr := s.Machine.PIDs()
	if err := errors.Join(bootedErr, cpuErr, memoryErr, pidsErr); err != nil {
		return nil, err
	}
	now := metav1.Now()
	return &statsapi.NodeStats{
		NodeName:  s.NodeName,
		StartTime: metav1.NewTime(booted),
		CPU:       cpu,
		Memory: &statsapi.MemoryStats{
			Time:            now,
			AvailableBytes:  positive(memory.Available()),
			UsageBytes:      positive(memory.Usage),
			WorkingSetBytes: positive(memory.WorkingSet),
			RSSBytes:        positive(memory.RSS),
			PageFaults:      positive(memory.PageFaults),
			MajorPageFaults: positive(memory.MajorFaults),
		},
		Swap: &statsapi.SwapStats{
			Time: now, SwapAvailableBytes: positive(memory.SwapFree), SwapUsageBytes: positive(memory.SwapTotal - memory.SwapFree),
		},
		Rlimit: &statsapi.RlimitStats{Time: now, MaxPID: &pids.Max, NumOfRunningProcesses: &pids.Running},
	}, nil
}

// cpu gives the time worked, and the rate since the measurement before.
func (s *summary) cpu(now time.Time) (*statsapi.CPUStats, error) {
	used, err := s.Machine.CPU()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if passed := now.Sub(s.last.at); s.last.at.IsZero() || passed >= rateInterval {
		next := sample{at: now, used: used}
		if !s.last.at.IsZero() && used >= s.last.used {
			next.rate = ptr.To(uint64(float64(used-s.last.used) / passed.Seconds()))
		}
		s.last = next
	}
	return &statsapi.CPUStats{
		Time: metav1.NewTime(now), UsageCoreNanoSeconds: positive(int64(used)), UsageNanoCores: s.last.rate,
	}, nil
}

func positive(n int64) *uint64 { return ptr.To(uint64(max(0, n))) }

func fsStats(now metav1.Time, fs machine.Filesystem) *statsapi.FsStats {
	return &statsapi.FsStats{
		Time:           now,
		AvailableBytes: positive(fs.Available),
		CapacityBytes:  positive(fs.Capacity),
		UsedBytes:      positive(fs.Capacity - fs.Available),
		InodesFree:     positive(fs.InodesFree),
		Inodes:         positive(fs.Inodes),
		InodesUsed:     positive(fs.Inodes - fs.InodesFree),
	}
}

// networkStats has the interface of the default route first.
func networkStats(now metav1.Time, n machine.Network) *statsapi.NetworkStats {
	stats := &statsapi.NetworkStats{Time: now}
	for _, i := range n.Interfaces {
		one := statsapi.InterfaceStats{Name: i.Name, RxBytes: &i.RxBytes, RxErrors: &i.RxErrors, TxBytes: &i.TxBytes, TxErrors: &i.TxErrors}
		stats.Interfaces = append(stats.Interfaces, one)
		if i.Name == n.Default {
			stats.InterfaceStats = one
		}
	}
	return stats
}

// reduce leaves CPU and memory.
func reduce(s *statsapi.Summary) {
	s.Node = statsapi.NodeStats{NodeName: s.Node.NodeName, StartTime: s.Node.StartTime, CPU: s.Node.CPU, Memory: s.Node.Memory}
	for i, p := range s.Pods {
		containers := make([]statsapi.ContainerStats, 0, len(p.Containers))
		for _, c := range p.Containers {
			containers = append(containers, statsapi.ContainerStats{Name: c.Name, StartTime: c.StartTime, CPU: c.CPU, Memory: c.Memory})
		}
		s.Pods[i] = statsapi.PodStats{PodRef: p.PodRef, StartTime: p.StartTime, Containers: containers, CPU: p.CPU, Memory: p.Memory}
	}
}
