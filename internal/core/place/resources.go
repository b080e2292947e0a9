package place

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// Resources is an amount of everything that nodes hand out to pods.
type Resources struct {
	MilliCPU int64
	// Memory and EphemeralStorage are in bytes.
	Memory           int64
	EphemeralStorage int64
	// Other holds extended resources, huge pages and the like, in whole units.
	Other map[corev1.ResourceName]int64
}

// resourcesOf reads the amounts of a list, except for the number of pods.
func resourcesOf(list corev1.ResourceList) Resources {
	var r Resources
	for name, quantity := range list {
		switch name {
		case corev1.ResourceCPU:
			r.MilliCPU = quantity.MilliValue()
		case corev1.ResourceMemory:
			r.Memory = quantity.Value()
		case corev1.ResourceEphemeralStorage:
			r.EphemeralStorage = quantity.Value()
		case corev1.ResourcePods:
		default:
			if v := quantity.Value(); v != 0 {
				if r.Other == nil {
					r.Other = map[corev1.ResourceName]int64{}
				}
				r.Other[name] = v
			}
		}
	}
	return r
}

// A container that requests no cpu or memory is taken to use so much, when
// nodes are compared.
const (
	typicalMilliCPU = 100
	typicalMemory   = 200 << 20
)

// requestsOf is what a pod takes from its node: the larger of its containers
// and sidecars together and the peak of its init containers, or what it
// requests as a whole, plus overhead. What a resize has been granted counts.
func requestsOf(pod *corev1.Pod) Resources {
	return resourcesOf(resource.PodRequests(pod, resource.PodResourcesOptions{
		UseStatusResources: true,
		InPlacePodLevelResourcesVerticalScalingEnabled: true,
	}))
}

// typicalOf is a pod's requests with a guess for its containers that request
// nothing.
func typicalOf(requests Resources, containers []corev1.Container) Resources {
	typical := Resources{MilliCPU: requests.MilliCPU, Memory: requests.Memory}
	for i := range containers {
		has := containers[i].Resources.Requests
		if _, ok := has[corev1.ResourceCPU]; !ok {
			typical.MilliCPU += typicalMilliCPU
		}
		if _, ok := has[corev1.ResourceMemory]; !ok {
			typical.Memory += typicalMemory
		}
	}
	return typical
}

// add adds the other amount, times sign (1 or -1).
func (r *Resources) add(other Resources, sign int64) {
	r.MilliCPU += sign * other.MilliCPU
	r.Memory += sign * other.Memory
	r.EphemeralStorage += sign * other.EphemeralStorage
	for name, v := range other.Other {
		if r.Other == nil {
			r.Other = map[corev1.ResourceName]int64{}
		}
		if r.Other[name] += sign * v; r.Other[name] == 0 {
			delete(r.Other, name)
		}
	}
}

// shortfall lists what of the request does not fit beside what is used, in the
// order cpu, memory, ephemeral-storage, then the others by name.
func shortfall(request, used, allocatable Resources) []Reason {
	var out []Reason
	check := func(name corev1.ResourceName, request, used, allocatable int64) {
		if request > 0 && request > allocatable-used {
			out = append(out, InsufficientResource{
				Name: name, Requested: request, Used: used, Allocatable: allocatable,
			})
		}
	}
	check(corev1.ResourceCPU, request.MilliCPU, used.MilliCPU, allocatable.MilliCPU)
	check(corev1.ResourceMemory, request.Memory, used.Memory, allocatable.Memory)
	check(corev1.ResourceEphemeralStorage, request.EphemeralStorage, used.EphemeralStorage, allocatable.EphemeralStorage)
	if len(request.Other) > 0 {
		for _, name := range slices.Sorted(maps.Keys(request.Other)) {
			check(name, request.Other[name], used.Other[name], allocatable.Other[name])
		}
	}
	return out
}
