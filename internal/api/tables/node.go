package tables

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	rolePrefix = "node-role.kubernetes.io/"
	roleLabel  = "kubernetes.io/role"
)

var nodes = table[*corev1.Node]{
	head: head(name(),
		text("Status", "The status of the node"),
		text("Roles", "The roles of the node"),
		age(),
		text("Version", corev1.NodeSystemInfo{}.SwaggerDoc()["kubeletVersion"]),
		wide(text("Internal-IP", corev1.NodeStatus{}.SwaggerDoc()["addresses"])),
		wide(text("External-IP", corev1.NodeStatus{}.SwaggerDoc()["addresses"])),
		wide(text("OS-Image", corev1.NodeSystemInfo{}.SwaggerDoc()["osImage"])),
		wide(text("Kernel-Version", corev1.NodeSystemInfo{}.SwaggerDoc()["kernelVersion"])),
		wide(text("Container-Runtime", corev1.NodeSystemInfo{}.SwaggerDoc()["containerRuntimeVersion"]))),
	cells: func(n *corev1.Node, now at) []any {
		info := n.Status.NodeInfo
		return []any{n.Name, nodeStatus(n), or(strings.Join(nodeRoles(n), ","), none), now.age(n.CreationTimestamp), info.KubeletVersion,
			or(address(n, corev1.NodeInternalIP), none), or(address(n, corev1.NodeExternalIP), none),
			or(info.OSImage, unknown), or(info.KernelVersion, unknown), or(info.ContainerRuntimeVersion, unknown)}
	},
}

func nodeStatus(n *corev1.Node) string {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		status = "NotReady"
		if c.Status == corev1.ConditionTrue {
			status = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

func nodeRoles(n *corev1.Node) []string {
	var roles []string
	for k, v := range n.Labels {
		if role, ok := strings.CutPrefix(k, rolePrefix); ok && role != "" {
			roles = append(roles, role)
		} else if k == roleLabel && v != "" {
			roles = append(roles, v)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// address returns the first address of a type.
func address(n *corev1.Node, t corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == t {
			return a.Address
		}
	}
	return ""
}
