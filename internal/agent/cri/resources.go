package cri

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubectl/pkg/util/qos"

	"github.com/garrison-project/garrison/internal/agent"
)

// The kernel's bounds, and the period over which CPU time is rationed, in
// microseconds.
const (
	minShares, maxShares = 2, 262144
	sharesPerCPU         = 1024
	quotaPeriod          = 100_000
	minQuota             = 1000
)

// Adjustments of the score by which the kernel picks whom to kill when memory is
// short.
const (
	guaranteedOOMScore = -997
	bestEffortOOMScore = 1000
)

// cpuShares gives a request as shares.
func cpuShares(request resource.Quantity) int64 {
	return min(max(request.MilliValue()*sharesPerCPU/1000, minShares), maxShares)
}

// cpuQuota gives a limit as microseconds per quotaPeriod; zero is without limit.
func cpuQuota(limit resource.Quantity) int64 {
	if limit.IsZero() {
		return 0
	}
	return max(limit.MilliValue()*quotaPeriod/1000, minQuota)
}

// LinuxResources translates requests and limits of a container, or sums of them, into
// what the kernel is told.
func LinuxResources(requests, limits corev1.ResourceList) *runtimeapi.LinuxContainerResources {
	request, requested := requests[corev1.ResourceCPU]
	if !requested {
		request = limits[corev1.ResourceCPU]
	}
	return &runtimeapi.LinuxContainerResources{
		CpuShares:          cpuShares(request),
		CpuPeriod:          quotaPeriod,
		CpuQuota:           cpuQuota(limits[corev1.ResourceCPU]),
		MemoryLimitInBytes: limits.Memory().Value(),
	}
}

// podResources are the sums of a pod, without overhead.
func podResources(pod *corev1.Pod) *runtimeapi.LinuxContainerResources {
	options := resourcehelper.PodResourcesOptions{ExcludeOverhead: true}
	return LinuxResources(resourcehelper.PodRequests(pod, options), resourcehelper.PodLimits(pod, options))
}

func overhead(pod *corev1.Pod) *runtimeapi.LinuxContainerResources {
	if pod.Spec.Overhead == nil {
		return &runtimeapi.LinuxContainerResources{}
	}
	return LinuxResources(pod.Spec.Overhead, pod.Spec.Overhead)
}

// podCgroup is what the control group of a whole pod allows: what all its
// containers may use, where each of them has a limit, or the pod itself.
func podCgroup(pod *corev1.Pod) *runtimeapi.LinuxContainerResources {
	if qos.GetPodQOS(pod) == corev1.PodQOSBestEffort {
		return &runtimeapi.LinuxContainerResources{CpuShares: minShares}
	}
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	result := LinuxResources(requests, resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{}))
	result.CpuShares = cpuShares(*requests.Cpu())
	if !limited(pod, corev1.ResourceCPU) {
		result.CpuQuota = 0
	}
	if !limited(pod, corev1.ResourceMemory) {
		result.MemoryLimitInBytes = 0
	}
	return result
}

// limited tells whether a pod as a whole, or else each of its containers, has a
// limit.
func limited(pod *corev1.Pod, name corev1.ResourceName) bool {
	has := func(limits corev1.ResourceList) bool {
		limit := limits[name]
		return !limit.IsZero()
	}
	if pod.Spec.Resources != nil && has(pod.Spec.Resources.Limits) {
		return true
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if !has(list[i].Resources.Limits) {
				return false
			}
		}
	}
	return true
}

// containerResources are a container's own limits, or else the pod's.
func containerResources(config agent.ContainerConfig, m machine) *runtimeapi.LinuxContainerResources {
	limits := corev1.ResourceList{}
	if of := config.Pod.Spec.Resources; of != nil {
		for name, limit := range of.Limits {
			limits[name] = limit
		}
	}
	for name, limit := range config.Spec.Resources.Limits {
		if !limit.IsZero() || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			limits[name] = limit
		}
	}
	result := LinuxResources(config.Spec.Resources.Requests, limits)
	result.OomScoreAdj = oomScore(config)
	result.HugepageLimits = hugepages(limits, m.hugepageSizes)
	if m.swap == swapV1 {
		result.MemorySwapLimitInBytes = result.MemoryLimitInBytes
	}
	if m.unified {
		// A container that has lost one of its processes may well be of no use.
		result.Unified = map[string]string{"memory.oom.group": "1"}
	}
	if m.swap == swapV2 {
		result.Unified["memory.swap.max"] = "0"
	}
	return result
}

// hugepages limits each size the kernel has, to none where nothing is said.
func hugepages(limits corev1.ResourceList, sizes []string) []*runtimeapi.HugepageLimit {
	var result []*runtimeapi.HugepageLimit
	for _, size := range sizes {
		limit := &runtimeapi.HugepageLimit{PageSize: size}
		for name, value := range limits {
			page, found := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix)
			if quantity, err := resource.ParseQuantity(page); found && err == nil && pageSize(quantity.Value()) == size {
				limit.Limit = uint64(value.Value())
			}
		}
		result = append(result, limit)
	}
	return result
}

// pageSize names a size in bytes as control groups do, such as 2MB.
func pageSize(bytes int64) string {
	units := []string{"B", "KB", "MB", "GB", "TB", "PB"}
	i := 0
	for ; bytes >= 1024 && bytes%1024 == 0 && i < len(units)-1; i++ {
		bytes /= 1024
	}
	return resource.NewQuantity(bytes, resource.DecimalSI).String() + units[i]
}

// oomScore makes those who use more than they asked for the first to be killed,
// and those who were guaranteed what they use the last.
func oomScore(config agent.ContainerConfig) int64 {
	pod := config.Pod
	class := qos.GetPodQOS(pod)
	switch {
	case pod.Spec.PriorityClassName == "system-node-critical", class == corev1.PodQOSGuaranteed:
		return guaranteedOOMScore
	case class == corev1.PodQOSBestEffort, config.NodeMemory <= 0:
		return bestEffortOOMScore
	}
	share := shareOfPod(pod)
	request := config.Spec.Resources.Requests.Memory().Value() + share
	if isSidecar(config.Spec) { // it goes no sooner than those it serves
		request = max(request, leastRequest(pod)+share)
	}
	score := 1000 - 1000*request/config.NodeMemory
	return min(max(score, 1000+guaranteedOOMScore), bestEffortOOMScore-1)
}

// shareOfPod is what each container gets of memory that the pod asks for and
// its containers do not.
func shareOfPod(pod *corev1.Pod) int64 {
	if !resourcehelper.IsPodLevelRequestsSet(pod) {
		return 0
	}
	count := int64(len(pod.Spec.Containers))
	for i := range pod.Spec.InitContainers {
		if isSidecar(&pod.Spec.InitContainers[i]) {
			count++
		}
	}
	sums := resourcehelper.AggregateContainerRequests(pod, resourcehelper.PodResourcesOptions{})
	rest := pod.Spec.Resources.Requests.Memory().Value() - sums.Memory().Value()
	return max(rest, 0) / max(count, 1)
}

func leastRequest(pod *corev1.Pod) int64 {
	least := int64(-1)
	for i := range pod.Spec.Containers {
		if r := pod.Spec.Containers[i].Resources.Requests.Memory().Value(); least < 0 || r < least {
			least = r
		}
	}
	return max(least, 0)
}
