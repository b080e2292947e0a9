package serving

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/garrison-project/garrison/internal/agent/machine"
	"github.com/garrison-project/garrison/internal/agent/volume"
)

// Volumes measures the volumes of a pod.
type Volumes interface {
	Usage(ctx context.Context, pod *corev1.Pod) ([]volume.Usage, error)
}

// volumesInterval is how long a measurement of a pod's volumes is good for, since
// all their files have to be looked at.
const volumesInterval = time.Minute

// storage adds to the figures of pods what their files take.
type storage struct {
	pods    Pods
	volumes Volumes

	mu   sync.Mutex
	seen map[types.UID]volumesReading
}

// volumesReading is a measurement of one pod's volumes.
type volumesReading struct {
	at    metav1.Time
	usage []volume.Usage
}

// add measures volumes, and says for all files what the file system that they lie in
// has left.
func (s *storage) add(ctx context.Context, pods []statsapi.PodStats, files, images machine.Filesystem) {
	now := metav1.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[types.UID]volumesReading{}
	for i := range pods {
		p := &pods[i]
		for c := range p.Containers {
			within(p.Containers[c].Rootfs, images)
			within(p.Containers[c].Logs, files)
		}
		if p.EphemeralStorage == nil {
			p.EphemeralStorage = &statsapi.FsStats{Time: now, UsedBytes: new(uint64), InodesUsed: new(uint64)}
		}
		within(p.EphemeralStorage, files)
		found, ok := s.pods.Find(types.NamespacedName{Namespace: p.PodRef.Namespace, Name: p.PodRef.Name}, types.UID(p.PodRef.UID))
		if !ok {
			continue
		}
		reading, known := s.seen[found.Object.UID]
		if !known || now.Sub(reading.at.Time) >= volumesInterval {
			usage, err := s.volumes.Usage(ctx, found.Object)
			if err != nil {
				klog.FromContext(ctx).V(2).Info("Volumes cannot be measured", "pod", klog.KObj(found.Object), "reason", err)
				continue
			}
			reading = volumesReading{now, usage}
		}
		seen[found.Object.UID] = reading
		reading.addTo(p, found.Object)
	}
	s.seen = seen
}

// within says what is left of the file system.
func within(f *statsapi.FsStats, whole machine.Filesystem) {
	if f == nil {
		return
	}
	f.CapacityBytes, f.AvailableBytes = positive(whole.Capacity), positive(whole.Available)
	f.Inodes, f.InodesFree = positive(whole.Inodes), positive(whole.InodesFree)
}

// addTo adds the volumes to the figures of their pod. Those on the node's own disk
// count as its ephemeral storage.
func (r volumesReading) addTo(p *statsapi.PodStats, pod *corev1.Pod) {
	for _, u := range r.usage {
		p.VolumeStats = append(p.VolumeStats, statsapi.VolumeStats{Name: u.Name, FsStats: statsapi.FsStats{
			Time:           r.at,
			CapacityBytes:  positive(u.Capacity),
			AvailableBytes: positive(u.Available),
			UsedBytes:      positive(u.Used),
			Inodes:         positive(u.Inodes),
			InodesFree:     positive(u.InodesFree),
			InodesUsed:     positive(u.InodesUsed),
		}})
		if isLocal(pod, u) {
			*p.EphemeralStorage.UsedBytes += uint64(u.Used)
			*p.EphemeralStorage.InodesUsed += uint64(u.InodesUsed)
		}
	}
}

// isLocal tells whether a volume counts as local ephemeral storage.
func isLocal(pod *corev1.Pod, u volume.Usage) bool {
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.Name == u.Name {
			return !u.Memory && (v.EmptyDir != nil || v.ConfigMap != nil)
		}
	}
	return false
}
