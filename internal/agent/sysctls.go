package agent

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/node/util/sysctl"
)

// safeSysctls are those that a pod has for itself and cannot harm others with.
var safeSysctls = []string{
	"kernel.shm_rmid_forced",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.ip_local_reserved_ports",
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.tcp_wmem",
}

// sysctls are the kernel parameters that pods may set.
type sysctls []sysctlPattern

// sysctlPattern is one parameter, or all that begin alike.
type sysctlPattern struct {
	name   string
	prefix bool
}

const maxSysctl = 253

var sysctlSyntax = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*([a-z0-9][-_a-z0-9]*)?[a-z0-9*]$`)

// CheckSysctls says what is wrong with patterns of sysctls, such as
// kernel.msgmax and net.core.*.
func CheckSysctls(patterns []string) error {
	_, err := parseSysctls(patterns)
	return err
}

// parseSysctls adds patterns to the safe sysctls. Only those can be allowed of
// which each pod has its own: others would be the machine's.
func parseSysctls(patterns []string) (sysctls, error) {
	var list sysctls
	for _, pattern := range slices.Concat(safeSysctls, patterns) {
		if len(pattern) > maxSysctl || !sysctlSyntax.MatchString(pattern) {
			return nil, fmt.Errorf("sysctl %q must have at most %d characters and match regex %s", pattern, maxSysctl, sysctlSyntax)
		}
		namespace, name, prefix := sysctl.GetNamespace(pattern)
		if namespace == sysctl.UnknownNamespace {
			return nil, fmt.Errorf("the sysctls %q are not known to be namespaced", name)
		}
		list = append(list, sysctlPattern{name, prefix})
	}
	return list, nil
}

// refuse says what is wrong with the first sysctl that a pod sets and may not,
// nothing if there is none. That a pod sets those of the machine's own network is
// refused by validation.
func (l sysctls) refuse(object *corev1.Pod) string {
	if object.Spec.SecurityContext == nil {
		return ""
	}
	for _, wanted := range object.Spec.SecurityContext.Sysctls {
		name := sysctl.NormalizeName(wanted.Name)
		allowed := slices.ContainsFunc(l, func(p sysctlPattern) bool {
			return name == p.name || p.prefix && strings.HasPrefix(name, p.name)
		})
		if !allowed {
			return fmt.Sprintf("%q not allowlisted", name)
		}
	}
	return ""
}
