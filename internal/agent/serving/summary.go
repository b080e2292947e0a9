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
	found, err := s.summary.take(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	if only := r.URL.Query().Get("only_cpu_and_memory"); only == "true" || only == "1" {
		reduce(found)
	}
	answer(w, r, found)
}

// summary measures. Rates need the measurement before.
type summary struct {
	Options

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

func (s *summary) node() (*statsapi.NodeStats, error) {
	booted, bootedErr := s.Machine.Booted()
	cpu, cpuErr := s.cpu(time.Now())
	memory, memoryErr := s.Machine.Memory()
	pids, pidsErr := s.Machine.PIDs()
	storage, storageErr := machine.ReadFilesystem(s.StorageDir)
	images, imagesErr := machine.ReadFilesystem(s.ImageDir)
	if err := errors.Join(bootedErr, cpuErr, memoryErr, pidsErr, storageErr, imagesErr); err != nil {
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
		Fs:      fsStats(now, storage),
		Runtime: &statsapi.RuntimeStats{ImageFs: fsStats(now, images), ContainerFs: fsStats(now, images)},
		Rlimit:  &statsapi.RlimitStats{Time: now, MaxPID: &pids.Max, NumOfRunningProcesses: &pids.Running},
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
