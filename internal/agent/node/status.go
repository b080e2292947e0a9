package node

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/machine"
)

// view is all that the status of a node depends on. It is not modified.
type view struct {
	Node     *corev1.Node // as the API has it, or about to be created
	Settings *Settings
	Facts    machine.Facts
	// Storage is the file system that pods write to.
	Storage machine.Filesystem
	Runtime agent.Condition
	// RuntimeErr is why the runtime could not be asked.
	RuntimeErr error
	Pressure   Pressure
	Images     []agent.Image
	Now        time.Time
}

// event is something to tell about the node.
type event struct{ Type, Reason, Message string }

// judge returns the status that a node should have, and what there is to tell. It
// leaves alone what others wrote: resources and conditions that it does not know.
func judge(v view) (corev1.NodeStatus, []event) {
	status := v.Node.Status.DeepCopy()
	setCapacity(status, v)
	setAllocatable(status, v)
	told := setInfo(status, v)
	status.Addresses = addresses(v.Settings.Addresses, v.Settings.Name)
	status.DaemonEndpoints.KubeletEndpoint.Port = int32(v.Settings.Port)
	status.Images = images(v.Images)
	if v.RuntimeErr == nil {
		status.Features = &corev1.NodeFeatures{SupplementalGroupsPolicy: &v.Runtime.SupplementalGroupsPolicy}
		status.RuntimeHandlers = runtimeHandlers(v.Runtime.Handlers)
	}
	for _, condition := range conditions(v) {
		if transition := setCondition(status, condition, metav1.NewTime(v.Now)); transition != "" {
			told = append(told, event{corev1.EventTypeNormal, transition, fmt.Sprintf("Node %s status is now: %s", v.Node.Name, transition)})
		}
	}
	return *status, told
}

// runtimeHandlers lists what handlers can do for pods of this node, which have no
// user namespaces of their own.
func runtimeHandlers(handlers []agent.Handler) []corev1.NodeRuntimeHandler {
	var list []corev1.NodeRuntimeHandler
	for _, h := range handlers {
		list = append(list, corev1.NodeRuntimeHandler{Name: h.Name, Features: &corev1.NodeRuntimeHandlerFeatures{
			RecursiveReadOnlyMounts: &h.RecursiveReadOnly, UserNamespaces: ptr.To(false),
		}})
	}
	return list
}

func setCapacity(status *corev1.NodeStatus, v view) {
	if status.Capacity == nil {
		status.Capacity = corev1.ResourceList{}
	}
	for name := range status.Capacity {
		if strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			delete(status.Capacity, name)
		}
	}
	status.Capacity[corev1.ResourceCPU] = *resource.NewQuantity(int64(v.Facts.Cores), resource.DecimalSI)
	status.Capacity[corev1.ResourceMemory] = *resource.NewQuantity(v.Facts.Memory, resource.BinarySI)
	status.Capacity[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(v.Storage.Capacity, resource.BinarySI)
	status.Capacity[corev1.ResourcePods] = *resource.NewQuantity(int64(v.Settings.MaxPods), resource.DecimalSI)
	for _, pages := range v.Facts.Hugepages {
		status.Capacity[hugepages(pages.PageSize)] = *resource.NewQuantity(pages.Total, resource.BinarySI)
	}
	for name, quantity := range v.Settings.ExtendedResources {
		status.Capacity[name] = quantity
	}
}

// hugepages names the resource of one size of page, such as hugepages-2Mi.
func hugepages(size int64) corev1.ResourceName {
	return corev1.ResourceName(corev1.ResourceHugePagesPrefix + resource.NewQuantity(size, resource.BinarySI).String())
}

// setAllocatable holds back from the capacity what is reserved, what must stay
// free lest pods be evicted, and huge pages, which no other memory can use.
func setAllocatable(status *corev1.NodeStatus, v view) {
	reserved := []corev1.ResourceList{v.Settings.SystemReserved, v.Settings.KubeReserved, v.Settings.Eviction.reserved(status.Capacity)}
	for _, pages := range v.Facts.Hugepages {
		reserved = append(reserved, corev1.ResourceList{corev1.ResourceMemory: *resource.NewQuantity(pages.Total, resource.BinarySI)})
	}
	status.Allocatable = corev1.ResourceList{}
	for name, capacity := range status.Capacity {
		rest := capacity.DeepCopy()
		for _, list := range reserved {
			rest.Sub(list[name])
		}
		if rest.Sign() < 0 {
			rest.Set(0)
		}
		status.Allocatable[name] = rest
	}
}

// setInfo describes the machine and what runs on it, and tells when it has been
// booted anew.
func setInfo(status *corev1.NodeStatus, v view) []event {
	before := status.NodeInfo.BootID
	info := &status.NodeInfo
	info.BootID = v.Facts.BootID
	info.MachineID, info.SystemUUID = v.Facts.MachineID, v.Facts.SystemUUID
	info.KernelVersion, info.OSImage = v.Facts.KernelVersion, v.Facts.OSImage
	info.OperatingSystem, info.Architecture = v.Facts.OperatingSystem, v.Facts.Architecture
	info.KubeletVersion = v.Settings.Version
	if v.Facts.Swap > 0 {
		info.Swap = &corev1.NodeSwapStatus{Capacity: &v.Facts.Swap}
	}
	if v.Runtime.Name != "" {
		info.ContainerRuntimeVersion = v.Runtime.Name + "://" + v.Runtime.Version
	}
	if before == "" || before == info.BootID {
		return nil
	}
	return []event{{corev1.EventTypeWarning, "Rebooted", fmt.Sprintf("Node %s has been rebooted, boot id: %s", v.Node.Name, info.BootID)}}
}

func addresses(ips []net.IP, hostname string) []corev1.NodeAddress {
	var all []corev1.NodeAddress
	for _, ip := range ips {
		all = append(all, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip.String()})
	}
	return append(all, corev1.NodeAddress{Type: corev1.NodeHostName, Address: hostname})
}

// How many images a node reports, and names of each.
const (
	maxImages     = 50
	maxImageNames = 5
)

// images are the largest ones: the scheduler goes by them where pulling would take
// long.
func images(present []agent.Image) []corev1.ContainerImage {
	sorted := slices.SortedFunc(slices.Values(present), func(a, b agent.Image) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.ID, b.ID))
	})
	var all []corev1.ContainerImage
	for _, image := range sorted[:min(len(sorted), maxImages)] {
		names := slices.Concat(image.Digest, image.Tags)
		all = append(all, corev1.ContainerImage{Names: names[:min(len(names), maxImageNames)], SizeBytes: image.Size})
	}
	return all
}

// verdict is a condition as it should be, with the event that tells of it.
type verdict struct {
	corev1.NodeCondition
	Event string
}

// conditions are the four that an agent sets; Ready comes last.
func conditions(v view) []verdict {
	return []verdict{
		pressed(v.Pressure.Memory, corev1.NodeMemoryPressure, pressureTexts{
			{"KubeletHasSufficientMemory", "kubelet has sufficient memory available", "NodeHasSufficientMemory"},
			{"KubeletHasInsufficientMemory", "kubelet has insufficient memory available", "NodeHasInsufficientMemory"},
		}),
		pressed(v.Pressure.Disk, corev1.NodeDiskPressure, pressureTexts{
			{"KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"},
			{"KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"},
		}),
		pressed(v.Pressure.PID, corev1.NodePIDPressure, pressureTexts{
			{"KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"},
			{"KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID"},
		}),
		ready(v),
	}
}

// pressureTexts are what is said without and with pressure.
type pressureTexts [2]struct{ reason, message, event string }

func pressed(under bool, kind corev1.NodeConditionType, texts pressureTexts) verdict {
	status, text := corev1.ConditionFalse, texts[0]
	if under {
		status, text = corev1.ConditionTrue, texts[1]
	}
	return verdict{corev1.NodeCondition{Type: kind, Status: status, Reason: text.reason, Message: text.message}, text.event}
}

// ready names all that keeps the node from running pods.
func ready(v view) verdict {
	var lacking []error
	switch {
	case v.RuntimeErr != nil:
		lacking = append(lacking, fmt.Errorf("container runtime is down: %w", v.RuntimeErr))
	case v.Runtime.Runtime != "":
		lacking = append(lacking, errors.New(v.Runtime.Runtime))
	}
	if v.RuntimeErr == nil && v.Runtime.Network != "" {
		lacking = append(lacking, errors.New(v.Runtime.Network))
	}
	if err := utilerrors.NewAggregate(lacking); err != nil {
		return verdict{corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", Message: err.Error()}, "NodeNotReady"}
	}
	return verdict{corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"}, "NodeReady"}
}

// setCondition writes a condition into a status, and returns the event that is due
// if it has changed. That a node is not ready at first is no news.
func setCondition(status *corev1.NodeStatus, v verdict, now metav1.Time) string {
	condition := v.NodeCondition
	condition.LastHeartbeatTime, condition.LastTransitionTime = now, now
	at := slices.IndexFunc(status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == condition.Type })
	if at < 0 {
		status.Conditions = append(status.Conditions, condition)
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return ""
		}
		return v.Event
	}
	before := status.Conditions[at]
	if before.Status == condition.Status {
		condition.LastTransitionTime = before.LastTransitionTime
		v.Event = ""
	}
	status.Conditions[at] = condition
	return v.Event
}
