package validation

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/node/util/sysctl"
)

// podSecurity checks the security settings that all containers of a pod share.
func (p *podChecker) podSecurity(sc *corev1.PodSecurityContext, at *field.Path) {
	if sc == nil {
		return
	}
	p.group(sc.FSGroup, at.Child("fsGroup"))
	p.user(sc.RunAsUser, at.Child("runAsUser"))
	p.group(sc.RunAsGroup, at.Child("runAsGroup"))
	for i := range sc.SupplementalGroups {
		p.group(&sc.SupplementalGroups[i], at.Child("supplementalGroups").Index(i))
	}
	if isTrue(p.spec.ShareProcessNamespace) && p.spec.HostPID {
		p.invalid(at.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled")
	}
	p.sysctls(sc.Sysctls, at.Child("sysctls"))
	if sc.FSGroupChangePolicy != nil {
		supported(&p.faults, at.Child("fsGroupChangePolicy"), *sc.FSGroupChangePolicy,
			corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)
	}
	p.seccompProfile(sc.SeccompProfile, at.Child("seccompProfile"))
	p.windowsOptions(sc.WindowsOptions, at.Child("windowsOptions"))
	p.appArmorProfile(sc.AppArmorProfile, at.Child("appArmorProfile"))
	if sc.SupplementalGroupsPolicy != nil {
		supported(&p.faults, at.Child("supplementalGroupsPolicy"), *sc.SupplementalGroupsPolicy,
			corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)
	}
	if sc.SELinuxChangePolicy != nil {
		// MountOption waits for a feature that is off in v1.36.
		supported(&p.faults, at.Child("seLinuxChangePolicy"), *sc.SELinuxChangePolicy, corev1.SELinuxChangePolicyRecursive)
	}
}

// containerSecurity checks the security settings of one container.
func (p *podChecker) containerSecurity(sc *corev1.SecurityContext, at *field.Path) {
	if sc == nil {
		return
	}
	p.user(sc.RunAsUser, at.Child("runAsUser"))
	p.group(sc.RunAsGroup, at.Child("runAsGroup"))
	if sc.ProcMount != nil {
		supported(&p.faults, at.Child("procMount"), *sc.ProcMount, corev1.DefaultProcMount, corev1.UnmaskedProcMount)
		ownUsers := p.spec.HostUsers != nil && !*p.spec.HostUsers
		if *sc.ProcMount == corev1.UnmaskedProcMount && !ownUsers {
			p.invalid(at.Child("procMount"), *sc.ProcMount, "`hostUsers` must be false to use `Unmasked`")
		}
	}
	p.seccompProfile(sc.SeccompProfile, at.Child("seccompProfile"))
	if sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation {
		if isTrue(sc.Privileged) {
			p.invalid(at, sc, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
		}
		if sc.Capabilities != nil {
			for _, capability := range sc.Capabilities.Add {
				if capability == "CAP_SYS_ADMIN" {
					p.invalid(at, sc, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
				}
			}
		}
	}
	p.windowsOptions(sc.WindowsOptions, at.Child("windowsOptions"))
	p.appArmorProfile(sc.AppArmorProfile, at.Child("appArmorProfile"))
}

func (f *faults) user(id *int64, at *field.Path) {
	if id != nil {
		f.messages(at, *id, validation.IsValidUserID(*id))
	}
}

func (f *faults) group(id *int64, at *field.Path) {
	if id != nil {
		f.messages(at, *id, validation.IsValidGroupID(*id))
	}
}

const maxSysctlName = 253

var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

// sysctls checks kernel parameters. One that belongs to a namespace cannot be
// set where the pod uses the host's.
func (p *podChecker) sysctls(list []corev1.Sysctl, at *field.Path) {
	names := seen[string]{}
	for i, s := range list {
		at := at.Index(i).Child("name")
		switch {
		case s.Name == "":
			p.required(at, "")
		case len(s.Name) > maxSysctlName || !sysctlName.MatchString(s.Name):
			p.invalid(at, s.Name, fmt.Sprintf("must have at most %d characters and match regex %s", maxSysctlName, sysctlName))
		case names.again(s.Name):
			p.duplicate(at, s.Name)
		}
		switch namespace, _, _ := sysctl.GetNamespace(s.Name); {
		case p.spec.HostNetwork && namespace == sysctl.NetNamespace:
			p.invalid(at, s.Name, "may not be specified when 'hostNetwork' is true")
		case p.spec.HostIPC && namespace == sysctl.IPCNamespace:
			p.invalid(at, s.Name, "may not be specified when 'hostIPC' is true")
		}
	}
}

func (f *faults) seccompProfile(profile *corev1.SeccompProfile, at *field.Path) {
	if profile == nil {
		return
	}
	if profile.Type == "" {
		f.required(at.Child("type"), "type is required when seccompProfile is set")
	} else {
		supported(f, at.Child("type"), profile.Type, corev1.SeccompProfileTypeLocalhost,
			corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	}
	local, file := profile.Type == corev1.SeccompProfileTypeLocalhost, at.Child("localhostProfile")
	switch {
	case local && profile.LocalhostProfile == nil:
		f.required(file, "must be set when seccomp type is Localhost")
	case local:
		f.descending(file, *profile.LocalhostProfile)
	case profile.LocalhostProfile != nil:
		f.invalid(file, profile, "can only be set when seccomp type is Localhost")
	}
}

// maxPath is the longest path that Linux takes, without its final zero.
const maxPath = 4095

func (f *faults) appArmorProfile(profile *corev1.AppArmorProfile, at *field.Path) {
	if profile == nil {
		return
	}
	local, name := at.Child("localhostProfile"), profile.LocalhostProfile
	switch profile.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		switch {
		case name == nil || *name == "":
			f.required(local, "must be set when AppArmor type is Localhost")
		case strings.TrimSpace(*name) != *name:
			f.invalid(local, *name, "must not be padded with whitespace")
		}
		if name != nil && len(*name) > maxPath {
			f.add(field.TooLong(local, "", maxPath))
		}
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		if name != nil {
			f.invalid(local, *name, "can only be set when AppArmor type is Localhost")
		}
	case "":
		f.required(at.Child("type"), "type is required when appArmorProfile is set")
	default:
		supported(f, at.Child("type"), profile.Type, corev1.AppArmorProfileTypeLocalhost,
			corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
	}
}

// userNamespace checks that a pod with users of its own shares nothing with the
// host that those users could not deal with.
func (p *podChecker) userNamespace() {
	const text = "when `hostUsers` is false"
	if p.spec.HostUsers == nil || *p.spec.HostUsers {
		return
	}
	if p.spec.HostNetwork {
		p.forbidden(p.path.Child("hostNetwork"), text)
	}
	if p.spec.HostPID {
		p.forbidden(p.path.Child("HostPID"), text)
	}
	if p.spec.HostIPC {
		p.forbidden(p.path.Child("HostIPC"), text)
	}
	p.eachContainer(func(c *corev1.Container, at *field.Path) {
		if len(c.VolumeDevices) > 0 {
			p.forbidden(at.Child("volumeDevices"), text)
		}
	})
}
