package cri

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// What the runtime hides from containers, and keeps them from writing, unless
// procMount says otherwise.
var (
	maskedPaths = []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
		"/sys/firmware", "/sys/devices/virtual/powercap",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// sandboxSecurity is the security context of the sandbox itself. Its seccomp
// profile is that of its pause process and no container's.
func sandboxSecurity(pod *corev1.Pod) *runtimeapi.LinuxSandboxSecurityContext {
	result := &runtimeapi.LinuxSandboxSecurityContext{
		NamespaceOptions: namespaces(pod),
		Privileged:       hasPrivileged(pod),
		Seccomp:          &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault},
	}
	if s := pod.Spec.SecurityContext; s != nil {
		result.RunAsUser, result.RunAsGroup = int64Value(s.RunAsUser), int64Value(s.RunAsGroup)
		result.SelinuxOptions = selinux(s.SELinuxOptions)
		result.SupplementalGroups, result.SupplementalGroupsPolicy = groups(pod)
	}
	return result
}

func hasPrivileged(pod *corev1.Pod) bool {
	is := func(s *corev1.SecurityContext) bool { return s != nil && s.Privileged != nil && *s.Privileged }
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if is(list[i].SecurityContext) {
				return true
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if is(pod.Spec.EphemeralContainers[i].SecurityContext) {
			return true
		}
	}
	return false
}

// containerSecurity is the security context of a container, in which its own
// fields go before the pod's.
func containerSecurity(config agent.ContainerConfig, user imageUser, m machine) (*runtimeapi.LinuxContainerSecurityContext, error) {
	own := effective(config.Pod, config.Spec)
	if err := verifyNonRoot(config, own, user); err != nil {
		return nil, err
	}
	result := &runtimeapi.LinuxContainerSecurityContext{
		NamespaceOptions: namespaces(config.Pod),
		Capabilities:     capabilities(own.Capabilities),
		Privileged:       own.Privileged != nil && *own.Privileged,
		ReadonlyRootfs:   own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem,
		NoNewPrivs:       own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation,
		SelinuxOptions:   selinux(own.SELinuxOptions),
		RunAsUser:        int64Value(own.RunAsUser),
		RunAsGroup:       int64Value(own.RunAsGroup),
		MaskedPaths:      maskedPaths,
		ReadonlyPaths:    readonlyPaths,
	}
	if config.TargetContainer != "" && result.NamespaceOptions.Pid == runtimeapi.NamespaceMode_CONTAINER {
		result.NamespaceOptions.Pid, result.NamespaceOptions.TargetId = runtimeapi.NamespaceMode_TARGET, config.TargetContainer
	}
	if result.RunAsUser == nil {
		result.RunAsUser, result.RunAsUsername = int64Value(user.uid), user.name
	}
	if own.ProcMount != nil && *own.ProcMount == corev1.UnmaskedProcMount {
		result.MaskedPaths, result.ReadonlyPaths = nil, nil
	}
	result.SupplementalGroups, result.SupplementalGroupsPolicy = groups(config.Pod)
	var err error
	if result.Seccomp, err = seccomp(own.SeccompProfile, m.seccompDirectory); err != nil {
		return nil, err
	}
	result.Apparmor, err = apparmor(config.Pod, config.Spec)
	return result, err
}

// effective is a container's security context with what it takes from the pod.
func effective(pod *corev1.Pod, spec *corev1.Container) *corev1.SecurityContext {
	own := &corev1.SecurityContext{}
	if spec.SecurityContext != nil {
		*own = *spec.SecurityContext
	}
	of := pod.Spec.SecurityContext
	if of == nil {
		return own
	}
	own.RunAsUser = first(own.RunAsUser, of.RunAsUser)
	own.RunAsGroup = first(own.RunAsGroup, of.RunAsGroup)
	own.RunAsNonRoot = first(own.RunAsNonRoot, of.RunAsNonRoot)
	own.SELinuxOptions = first(own.SELinuxOptions, of.SELinuxOptions)
	own.SeccompProfile = first(own.SeccompProfile, of.SeccompProfile)
	return own
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// verifyNonRoot refuses containers that would run as root although they say
// they must not. The texts are upstream's.
func verifyNonRoot(config agent.ContainerConfig, own *corev1.SecurityContext, user imageUser) error {
	if own.RunAsNonRoot == nil || !*own.RunAsNonRoot {
		return nil
	}
	where := fmt.Sprintf("(pod: \"%s_%s(%s)\", container: %s)", config.Pod.Name, config.Pod.Namespace, config.Pod.UID, config.Spec.Name)
	switch {
	case own.RunAsUser != nil && *own.RunAsUser == 0:
		return fmt.Errorf("container's runAsUser breaks non-root policy %s", where)
	case own.RunAsUser != nil:
		return nil
	case user.uid == nil && user.name != "":
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", user.name, where)
	case user.uid == nil || *user.uid == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", where)
	}
	if problems := validation.IsValidUserID(*user.uid); len(problems) > 0 {
		return fmt.Errorf("container has runAsNonRoot and image has an invalid user id (%d). (Must be 1-(%d)): %s %s",
			*user.uid, math.MaxInt32, strings.Join(problems, "; "), where)
	}
	return nil
}

// groups are the pod's: the group of its volumes, and those it names.
func groups(pod *corev1.Pod) ([]int64, runtimeapi.SupplementalGroupsPolicy) {
	s := pod.Spec.SecurityContext
	if s == nil {
		return nil, runtimeapi.SupplementalGroupsPolicy_Merge
	}
	var all []int64
	if s.FSGroup != nil {
		all = append(all, *s.FSGroup)
	}
	all = append(all, s.SupplementalGroups...)
	policy := runtimeapi.SupplementalGroupsPolicy_Merge
	if s.SupplementalGroupsPolicy != nil && *s.SupplementalGroupsPolicy == corev1.SupplementalGroupsPolicyStrict {
		policy = runtimeapi.SupplementalGroupsPolicy_Strict
	}
	return all, policy
}

func int64Value(v *int64) *runtimeapi.Int64Value {
	if v == nil {
		return nil
	}
	return &runtimeapi.Int64Value{Value: *v}
}

func selinux(o *corev1.SELinuxOptions) *runtimeapi.SELinuxOption {
	if o == nil {
		return nil
	}
	return &runtimeapi.SELinuxOption{User: o.User, Role: o.Role, Type: o.Type, Level: o.Level}
}

func capabilities(c *corev1.Capabilities) *runtimeapi.Capability {
	if c == nil {
		return nil
	}
	result := &runtimeapi.Capability{}
	for _, name := range c.Add {
		result.AddCapabilities = append(result.AddCapabilities, string(name))
	}
	for _, name := range c.Drop {
		result.DropCapabilities = append(result.DropCapabilities, string(name))
	}
	return result
}

func seccomp(p *corev1.SeccompProfile, directory string) (*runtimeapi.SecurityProfile, error) {
	switch {
	case p == nil || p.Type == corev1.SeccompProfileTypeUnconfined:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}, nil
	case p.Type == corev1.SeccompProfileTypeRuntimeDefault:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}, nil
	case p.LocalhostProfile == nil || *p.LocalhostProfile == "":
		return nil, errors.New("localhostProfile must be set if seccompProfile type is Localhost")
	}
	return &runtimeapi.SecurityProfile{
		ProfileType:  runtimeapi.SecurityProfile_Localhost,
		LocalhostRef: filepath.Join(directory, *p.LocalhostProfile),
	}, nil
}

// apparmor is the profile of the container's field, of the annotation that came
// before it, or of the pod's field.
func apparmor(pod *corev1.Pod, spec *corev1.Container) (*runtimeapi.SecurityProfile, error) {
	var profile *corev1.AppArmorProfile
	annotation, annotated := pod.Annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+spec.Name]
	switch {
	case spec.SecurityContext != nil && spec.SecurityContext.AppArmorProfile != nil:
		profile = spec.SecurityContext.AppArmorProfile
	case annotated:
		profile = annotatedProfile(annotation)
	case pod.Spec.SecurityContext != nil:
		profile = pod.Spec.SecurityContext.AppArmorProfile
	}
	switch {
	case profile == nil:
		return nil, nil
	case profile.Type == corev1.AppArmorProfileTypeRuntimeDefault:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}, nil
	case profile.Type == corev1.AppArmorProfileTypeUnconfined:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}, nil
	case profile.LocalhostProfile == nil:
		return nil, errors.New("missing localhost apparmor profile name")
	}
	return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: *profile.LocalhostProfile}, nil
}

func annotatedProfile(value string) *corev1.AppArmorProfile {
	switch name, local := strings.CutPrefix(value, corev1.DeprecatedAppArmorBetaProfileNamePrefix); {
	case local:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &name}
	case value == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	case value == corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	}
	return nil
}
