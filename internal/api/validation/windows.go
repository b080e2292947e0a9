package validation

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// os checks the system that a pod is for, and that it asks only for what that
// system has.
func (p *podChecker) os(at *field.Path) {
	if p.spec.OS == nil {
		return
	}
	switch p.spec.OS.Name {
	case "":
		p.required(at.Child("name"), "")
	case corev1.Linux:
		p.linuxOnly()
	case corev1.Windows:
		p.windowsOnly()
	default:
		supported(&p.faults, at, p.spec.OS.Name, corev1.Linux, corev1.Windows)
	}
}

func (p *podChecker) linuxOnly() {
	const text = "windows options cannot be set for a linux pod"
	if sc := p.spec.SecurityContext; sc != nil && sc.WindowsOptions != nil {
		p.forbidden(p.path.Child("securityContext", "windowsOptions"), text)
	}
	p.eachContainer(func(c *corev1.Container, at *field.Path) {
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil {
			p.forbidden(at.Child("securityContext", "windowsOptions"), text)
		}
	})
}

func (p *podChecker) windowsOnly() {
	spec, sc := p.spec, p.spec.SecurityContext
	if sc == nil {
		sc = &corev1.PodSecurityContext{}
	}
	for _, linux := range []setting{
		{"securityContext.appArmorProfile", sc.AppArmorProfile != nil},
		{"securityContext.seLinuxOptions", sc.SELinuxOptions != nil},
		{"hostUsers", spec.HostUsers != nil},
		{"hostPID", spec.HostPID},
		{"hostIPC", spec.HostIPC},
		{"securityContext.seccompProfile", sc.SeccompProfile != nil},
		{"securityContext.fsGroup", sc.FSGroup != nil},
		{"securityContext.fsGroupChangePolicy", sc.FSGroupChangePolicy != nil},
		{"securityContext.sysctls", len(sc.Sysctls) > 0},
		{"shareProcessNamespace", spec.ShareProcessNamespace != nil},
		{"securityContext.runAsUser", sc.RunAsUser != nil},
		{"securityContext.runAsGroup", sc.RunAsGroup != nil},
		{"securityContext.supplementalGroups", sc.SupplementalGroups != nil},
		{"securityContext.supplementalGroupsPolicy", sc.SupplementalGroupsPolicy != nil},
		{"securityContext.seLinuxChangePolicy", sc.SELinuxChangePolicy != nil},
	} {
		p.noWindows(linux, p.path)
	}
	p.eachContainer(func(c *corev1.Container, at *field.Path) {
		sc := c.SecurityContext
		if sc == nil {
			return
		}
		for _, linux := range []setting{
			{"appArmorProfile", sc.AppArmorProfile != nil},
			{"seLinuxOptions", sc.SELinuxOptions != nil},
			{"seccompProfile", sc.SeccompProfile != nil},
			{"capabilities", sc.Capabilities != nil},
			{"readOnlyRootFilesystem", sc.ReadOnlyRootFilesystem != nil},
			{"privileged", sc.Privileged != nil},
			{"allowPrivilegeEscalation", sc.AllowPrivilegeEscalation != nil},
			{"procMount", sc.ProcMount != nil},
			{"runAsUser", sc.RunAsUser != nil},
			{"runAsGroup", sc.RunAsGroup != nil},
		} {
			p.noWindows(linux, at.Child("securityContext"))
		}
	})
}

// setting is a field, and whether it is set.
type setting struct {
	path string
	set  bool
}

func (p *podChecker) noWindows(s setting, at *field.Path) {
	if s.set {
		p.forbidden(at.Child(s.path), "cannot be set for a windows pod")
	}
}

// windowsOptions checks the options of Windows containers, wherever they stand.
func (f *faults) windowsOptions(o *corev1.WindowsSecurityContextOptions, at *field.Path) {
	if o == nil {
		return
	}
	if name := o.GMSACredentialSpecName; name != nil {
		f.subdomain(at.Child("gmsaCredentialSpecName"), *name)
	}
	if spec := o.GMSACredentialSpec; spec != nil {
		const maxKiB = 64
		switch {
		case *spec == "":
			f.invalid(at.Child("gmsaCredentialSpec"), *spec, "gmsaCredentialSpec cannot be an empty string")
		case len(*spec) > maxKiB*1024:
			f.invalid(at.Child("gmsaCredentialSpec"), *spec, fmt.Sprintf("gmsaCredentialSpec size must be under %d KiB", maxKiB))
		}
	}
	if o.RunAsUserName != nil {
		for _, msg := range windowsUser(*o.RunAsUserName) {
			f.invalid(at.Child("runAsUserName"), *o.RunAsUserName, "runAsUserName"+msg)
		}
	}
}

// The rules for account names under Windows: NetBIOS domains have up to 15
// characters and neither begin with a dot nor contain a few others.
var (
	controlCharacter = regexp.MustCompile(`[[:cntrl:]]`)
	netBIOSDomain    = regexp.MustCompile(`^[^\\/:\*\?"<>|\.][^\\/:\*\?"<>|]{0,14}$`)
	dnsDomain        = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)
)

const (
	maxWindowsDomain = 256
	maxWindowsUser   = 104
)

// windowsUser says what is wrong with an account name of the form DOMAIN\USER,
// of which the domain may be missing.
func windowsUser(name string) []string {
	switch {
	case name == "":
		return []string{" cannot be an empty string"}
	case controlCharacter.MatchString(name):
		return []string{" cannot contain control characters"}
	case strings.Count(name, `\`) > 1:
		return []string{" cannot contain more than one backslash"}
	}
	domain, user, hasDomain := strings.Cut(name, `\`)
	if !hasDomain {
		domain, user = "", name
	}
	var msgs []string
	if len(domain) >= maxWindowsDomain {
		msgs = append(msgs, fmt.Sprintf("'s Domain length must be under %d characters", maxWindowsDomain))
	}
	if hasDomain && !netBIOSDomain.MatchString(domain) && !dnsDomain.MatchString(domain) {
		msgs = append(msgs, "'s Domain doesn't match the NetBios nor the DNS format")
	}
	switch {
	case user == "":
		return append(msgs, "'s User cannot be empty")
	case len(user) > maxWindowsUser:
		msgs = append(msgs, fmt.Sprintf("'s User length must not be longer than %d characters", maxWindowsUser))
	}
	if strings.Trim(user, ". ") == "" {
		msgs = append(msgs, "'s User cannot contain only periods or spaces")
	}
	if strings.ContainsAny(user, `"/\:;|=,+*?<>@[]`) {
		msgs = append(msgs, `'s User cannot contain the following characters: "/\:;|=,+*?<>@[]`)
	}
	return msgs
}

// hostProcesses checks the containers that are processes of a Windows host:
// either all or none of a pod's, and only with the host's network.
func (p *podChecker) hostProcesses() {
	var whole *bool
	if sc := p.spec.SecurityContext; sc != nil && sc.WindowsOptions != nil {
		whole = sc.WindowsOptions.HostProcess
	}
	containers, onHost := 0, 0
	p.eachContainer(func(c *corev1.Container, at *field.Path) {
		var own *bool
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil {
			own = c.SecurityContext.WindowsOptions.HostProcess
		}
		if whole != nil && own != nil && *whole != *own {
			p.invalid(at.Child("securityContext", "windowsOptions", "hostProcess"), *own,
				fmt.Sprintf("pod hostProcess value must be identical if both are specified, was %v", *whole))
		}
		containers++
		if isTrue(own) || own == nil && isTrue(whole) {
			onHost++
		}
	})
	if onHost == 0 {
		return
	}
	if onHost != containers {
		p.invalid(p.path, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers")
	}
	if !p.spec.HostNetwork {
		p.invalid(p.path.Child("hostNetwork"), false, "hostNetwork must be true if pod contains any hostProcess containers")
	}
}
