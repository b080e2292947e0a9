package agent

import (
	"fmt"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// maxHostname is how long a hostname may be in the kernel, less the final zero.
const maxHostname = 64

// maxHostLabel is how long a part of a domain name may be.
const maxHostLabel = 63

// host is how a pod is called. Domain is empty if it has none.
type host struct{ name, domain string }

// hostname is how the pod is called inside: its name, unless it says otherwise; on
// the host's network, as the machine.
func (a *Agent) hostname(object *corev1.Pod) (host, error) {
	spec := &object.Spec
	switch {
	case spec.HostNetwork:
		return host{name: a.Settings.Hostname}, nil
	case ptr.Deref(spec.HostnameOverride, "") != "":
		return host{name: *spec.HostnameOverride}, nil
	}
	h := host{name: spec.Hostname}
	if h.name == "" {
		h.name = object.Name
	}
	if len(h.name) > maxHostLabel {
		h.name = strings.TrimRight(h.name[:maxHostLabel], "-.")
	}
	if spec.Subdomain != "" {
		h.domain = fmt.Sprintf("%s.%s.svc.%s", spec.Subdomain, object.Namespace, a.Settings.ClusterDomain)
	}
	if ptr.Deref(spec.SetHostnameAsFQDN, false) && h.domain != "" {
		full := h.name + "." + h.domain
		if len(full) > maxHostname {
			return host{}, fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)",
				full, maxHostname, len(full))
		}
		h.name = full
	}
	return h, nil
}

// logDirectory is the folder of the output of a pod's containers.
func (a *Agent) logDirectory(object *corev1.Pod) string {
	return filepath.Join(a.Settings.PodLogs, fmt.Sprintf("%s_%s_%s", object.Namespace, object.Name, object.UID))
}
