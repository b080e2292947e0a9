package place

import (
	corev1 "k8s.io/api/core/v1"
)

// HostPort is a port of the node that a pod takes.
type HostPort struct {
	// IP is the address; 0.0.0.0 stands for all of them.
	IP       string
	Protocol corev1.Protocol
	Port     int32
}

const anyIP = "0.0.0.0"

// conflicts reports whether two pods cannot have both ports on one node.
func (p HostPort) conflicts(q HostPort) bool {
	return p.Port == q.Port && p.Protocol == q.Protocol &&
		(p.IP == q.IP || p.IP == anyIP || q.IP == anyIP)
}

// hostPortsOf lists the host ports of the containers that run side by side:
// the regular ones and the sidecars.
func hostPortsOf(spec *corev1.PodSpec) []HostPort {
	var out []HostPort
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			out = appendHostPorts(out, c)
		}
	}
	for i := range spec.Containers {
		out = appendHostPorts(out, &spec.Containers[i])
	}
	return out
}

func appendHostPorts(out []HostPort, c *corev1.Container) []HostPort {
	for i := range c.Ports {
		port := &c.Ports[i]
		if port.HostPort <= 0 {
			continue
		}
		p := HostPort{IP: port.HostIP, Protocol: port.Protocol, Port: port.HostPort}
		if p.IP == "" {
			p.IP = anyIP
		}
		if p.Protocol == "" {
			p.Protocol = corev1.ProtocolTCP
		}
		out = append(out, p)
	}
	return out
}
