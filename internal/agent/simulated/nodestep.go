package simulated

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotation marks a Node whose agent the simulator plays; its value must be
// "true".
const Annotation = "garrison.dev/simulated"

// kubeletPort is the port that nodes report unless they say otherwise.
const kubeletPort = 10250

// IsSimulated tells whether a node has no machine.
func IsSimulated(node *corev1.Node) bool { return node.Annotations[Annotation] == "true" }

// resources are the two lists of a node as last seen.
type resources struct{ Capacity, Allocatable corev1.ResourceList }

// nodeView is all that the status of a simulated node depends on. It is not
// modified.
type nodeView struct {
	Node    *corev1.Node
	Last    *resources // nil at the first look
	Address string     // kept for the node, used when it reports none
	Version string     // reported as the kubelet's
	Now     time.Time
}

// nodeStatus returns the status the node should have, or nil if it has it. It
// adds what an agent reports and leaves alone what someone else wrote.
func nodeStatus(v nodeView) *corev1.NodeStatus {
	status := v.Node.Status.DeepCopy()
	setCapacity(status)
	followCapacity(status, v.Last)
	setNodeConditions(status, metav1.NewTime(v.Now))
	setNodeAddresses(status, v)
	setNodeInfo(&status.NodeInfo, v)
	if status.DaemonEndpoints.KubeletEndpoint.Port == 0 {
		status.DaemonEndpoints.KubeletEndpoint.Port = kubeletPort
	}
	if equality.Semantic.DeepEqual(status, &v.Node.Status) {
		return nil
	}
	return status
}

// DefaultCapacity returns the resources of a simulated node that names none.
func DefaultCapacity() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("32"),
		corev1.ResourceMemory:           resource.MustParse("128Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("500Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
}

func setCapacity(status *corev1.NodeStatus) {
	if status.Capacity == nil {
		status.Capacity = corev1.ResourceList{}
	}
	for name, quantity := range DefaultCapacity() {
		if _, known := status.Capacity[name]; !known {
			status.Capacity[name] = quantity
		}
	}
}

// followCapacity mirrors changes of capacity into allocatable, keeping whatever
// was held back from it. A value that was written to allocatable itself stays,
// as long as the node has that much.
func followCapacity(status *corev1.NodeStatus, last *resources) {
	if last == nil {
		last = &resources{Capacity: status.Capacity, Allocatable: status.Allocatable}
	}
	if status.Allocatable == nil {
		status.Allocatable = corev1.ResourceList{}
	}
	for name, capacity := range status.Capacity {
		status.Allocatable[name] = allocatable(capacity, change{
			capacityBefore: last.Capacity[name],
			before:         last.Allocatable[name],
			now:            find(status.Allocatable, name),
		})
	}
	for name := range last.Capacity {
		if _, kept := status.Capacity[name]; !kept {
			delete(status.Allocatable, name)
		}
	}
}

// change is what happened to one resource since the last look.
type change struct {
	capacityBefore, before resource.Quantity
	now                    *resource.Quantity // allocatable now, nil if absent
}

func allocatable(capacity resource.Quantity, c change) resource.Quantity {
	written := c.now != nil && c.now.Cmp(capacity) <= 0
	if written && (capacity.Cmp(c.capacityBefore) == 0 || c.now.Cmp(c.before) != 0) {
		return *c.now
	}
	reserved := c.capacityBefore.DeepCopy()
	reserved.Sub(c.before)
	if c.now == nil || reserved.Sign() <= 0 {
		return capacity
	}
	rest := capacity.DeepCopy()
	rest.Sub(reserved)
	if rest.Sign() < 0 {
		return *resource.NewQuantity(0, capacity.Format)
	}
	return rest
}

func find(list corev1.ResourceList, name corev1.ResourceName) *resource.Quantity {
	if quantity, ok := list[name]; ok {
		return &quantity
	}
	return nil
}

// healthy are the conditions of a node that works.
var healthy = []corev1.NodeCondition{
	{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
	{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
	{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
	{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
}

// setNodeConditions adds the conditions that are absent or Unknown. A condition
// that says True or False was written by the agent or by someone who wants the
// node to look so: it stays.
func setNodeConditions(status *corev1.NodeStatus, now metav1.Time) {
	for _, want := range healthy {
		want.LastHeartbeatTime, want.LastTransitionTime = now, now
		at := slices.IndexFunc(status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == want.Type })
		switch {
		case at < 0:
			status.Conditions = append(status.Conditions, want)
		case status.Conditions[at].Status == corev1.ConditionUnknown || status.Conditions[at].Status == "":
			status.Conditions[at] = want
		}
	}
}

func setNodeAddresses(status *corev1.NodeStatus, v nodeView) {
	if len(addressesOf(v.Node, corev1.NodeInternalIP)) == 0 {
		status.Addresses = append(status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: v.Address})
	}
	if len(addressesOf(v.Node, corev1.NodeHostName)) == 0 {
		status.Addresses = append(status.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: v.Node.Name})
	}
}

func setNodeInfo(info *corev1.NodeSystemInfo, v nodeView) {
	labels := v.Node.Labels
	id := machineID(v.Node.Name)
	for _, field := range []struct {
		value    *string
		fallback string
	}{
		{&info.MachineID, id},
		{&info.SystemUUID, id},
		{&info.BootID, id},
		{&info.KernelVersion, "simulated"},
		{&info.OSImage, "Garrison simulated node"},
		{&info.ContainerRuntimeVersion, "simulated://1.0.0"},
		{&info.KubeletVersion, v.Version},
		{&info.OperatingSystem, or(labels[corev1.LabelOSStable], "linux")},
		{&info.Architecture, or(labels[corev1.LabelArchStable], "amd64")},
	} {
		*field.value = or(*field.value, field.fallback)
	}
}

// machineID returns the same 32 hexadecimal digits for a name every time.
func machineID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// addressesOf returns a node's addresses of one type.
func addressesOf(node *corev1.Node, kind corev1.NodeAddressType) []string {
	var found []string
	for _, address := range node.Status.Addresses {
		if address.Type == kind {
			found = append(found, address.Address)
		}
	}
	return found
}

// nodeReady tells whether the node's Ready condition is True.
func nodeReady(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
