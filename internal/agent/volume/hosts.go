package volume

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

const hostsPath = "/etc/hosts"

// hostsMount writes the pod's /etc/hosts. The file is shared by its containers,
// and kept, as they have it mounted; only its text changes.
func (m *Manager) hostsMount(request agent.MountRequest) (agent.Mount, error) {
	folder, err := m.podFolder(request.Pod.UID)
	if err != nil {
		return agent.Mount{}, err
	}
	path := filepath.Join(folder, hostsFile)
	text := ownHosts(request)
	if request.Pod.Spec.HostNetwork {
		if text, err = machineHosts(request.Pod.Spec.HostAliases); err != nil {
			return agent.Mount{}, err
		}
	}
	if current, err := os.ReadFile(path); err != nil || !bytes.Equal(current, text) {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return agent.Mount{}, fmt.Errorf("write %s: %w", hostsPath, err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		return agent.Mount{}, fmt.Errorf("write %s: %w", hostsPath, err)
	}
	return agent.Mount{HostPath: path, ContainerPath: hostsPath, Propagation: corev1.MountPropagationNone}, nil
}

// ownHosts is the text for a pod with a network of its own.
func ownHosts(request agent.MountRequest) []byte {
	var out bytes.Buffer
	out.WriteString("# Kubernetes-managed hosts file.\n" +
		"127.0.0.1\tlocalhost\n" +
		"::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::0\tip6-localnet\n" +
		"fe00::0\tip6-mcastprefix\n" +
		"fe00::1\tip6-allnodes\n" +
		"fe00::2\tip6-allrouters\n")
	names := request.Hostname
	if request.Domain != "" {
		names = request.Hostname + "." + request.Domain + "\t" + request.Hostname
	}
	for _, ip := range request.PodIPs {
		fmt.Fprintf(&out, "%s\t%s\n", ip, names)
	}
	writeAliases(&out, request.Pod.Spec.HostAliases)
	return out.Bytes()
}

// machineHosts is the text for a pod on the machine's network.
func machineHosts(aliases []corev1.HostAlias) ([]byte, error) {
	own, err := os.ReadFile(hostsPath)
	if err != nil {
		return nil, fmt.Errorf("read %s of the machine: %w", hostsPath, err)
	}
	var out bytes.Buffer
	out.WriteString("# Kubernetes-managed hosts file (host network).\n")
	out.Write(own)
	writeAliases(&out, aliases)
	return out.Bytes(), nil
}

func writeAliases(out *bytes.Buffer, aliases []corev1.HostAlias) {
	if len(aliases) == 0 {
		return
	}
	out.WriteString("\n# Entries added by HostAliases.\n")
	for _, alias := range aliases {
		fmt.Fprintf(out, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
	}
}
