package cri

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/node/util/sysctl"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// errUserNamespaces: the mappings would have to be given out and kept.
var errUserNamespaces = errors.New("pods in a user namespace of their own (hostUsers: false) are not supported on this node")

// machine is what translation must know besides the pod.
type machine struct {
	// cgroupParent is the parent of the pod's containers, owner the agent.
	cgroupParent, owner string
	// seccompDirectory has the profiles that pods name.
	seccompDirectory string
	// hugepageSizes are those of the kernel, such as 2MB and 1GB.
	hugepageSizes []string
	swap          swapControl
	// unified: control groups are of version 2.
	unified bool
}

// swapControl says how containers are kept from swapping.
type swapControl int

const (
	swapUncontrolled swapControl = iota
	swapV1                       // memory and swap are limited together
	swapV2                       // swap is limited alone
)

// sandboxConfig translates a pod into its sandbox.
func sandboxConfig(config agent.SandboxConfig, m machine) (*runtimeapi.PodSandboxConfig, error) {
	pod := config.Pod
	if pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers {
		return nil, errUserNamespaces
	}
	result := &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{
			Name: pod.Name, Namespace: pod.Namespace, Uid: string(pod.UID), Attempt: uint32(config.Attempt),
		},
		LogDirectory: config.LogDirectory,
		DnsConfig:    &runtimeapi.DNSConfig{Servers: config.DNS.Servers, Searches: config.DNS.Searches, Options: config.DNS.Options},
		PortMappings: portMappings(pod),
		Labels:       sandboxLabels(pod, m.owner),
		Annotations:  sandboxAnnotations(config),
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent:    m.cgroupParent,
			SecurityContext: sandboxSecurity(pod),
			Sysctls:         sysctls(pod),
			Overhead:        overhead(pod),
			Resources:       podResources(pod),
		},
	}
	if !pod.Spec.HostNetwork { // the machine's own name would be set
		result.Hostname = config.Hostname
	}
	return result, nil
}

// portMappings are the ports of app containers and sidecars, each once; the
// runtime maps those with a host port.
func portMappings(pod *corev1.Pod) []*runtimeapi.PortMapping {
	var mappings []*runtimeapi.PortMapping
	seen := map[corev1.ContainerPort]bool{}
	add := func(c *corev1.Container) {
		for _, port := range c.Ports {
			port.Name = ""
			if seen[port] {
				continue
			}
			seen[port] = true
			mappings = append(mappings, &runtimeapi.PortMapping{
				Protocol:      runtimeapi.Protocol(runtimeapi.Protocol_value[string(port.Protocol)]), // TCP is zero
				ContainerPort: port.ContainerPort,
				HostPort:      port.HostPort,
				HostIp:        port.HostIP,
			})
		}
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; isSidecar(c) {
			add(c)
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return mappings
}

func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func sysctls(pod *corev1.Pod) map[string]string {
	values := map[string]string{}
	if pod.Spec.SecurityContext != nil {
		for _, s := range pod.Spec.SecurityContext.Sysctls {
			values[sysctl.NormalizeName(s.Name)] = s.Value
		}
	}
	return values
}

// namespaces are those that the containers of a pod have.
func namespaces(pod *corev1.Pod) *runtimeapi.NamespaceOption {
	options := &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER} // the others are the pod's
	if pod.Spec.HostNetwork {
		options.Network = runtimeapi.NamespaceMode_NODE
	}
	if pod.Spec.HostIPC {
		options.Ipc = runtimeapi.NamespaceMode_NODE
	}
	switch share := pod.Spec.ShareProcessNamespace; {
	case pod.Spec.HostPID:
		options.Pid = runtimeapi.NamespaceMode_NODE
	case share != nil && *share:
		options.Pid = runtimeapi.NamespaceMode_POD
	}
	return options
}
