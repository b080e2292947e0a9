package validation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podAnnotations checks the annotations of a pod or template that mean
// something to Kubernetes.
func (f *faults) podAnnotations(annotations map[string]string, spec *corev1.PodSpec, at *field.Path) {
	if value, mirror := annotations[corev1.MirrorPodAnnotationKey]; mirror && spec.NodeName == "" {
		f.invalid(at.Key(corev1.MirrorPodAnnotationKey), value, "must set spec.nodeName if mirror pod annotation is set")
	}
	if text := annotations[corev1.TolerationsAnnotationKey]; text != "" {
		var tolerations []corev1.Toleration
		if err := json.Unmarshal([]byte(text), &tolerations); err != nil {
			f.invalid(at, corev1.TolerationsAnnotationKey, err.Error())
		} else {
			f.tolerations(tolerations, at.Child(corev1.TolerationsAnnotationKey))
		}
	}
	if cost, set := annotations[corev1.PodDeletionCost]; set && !isInt32(cost) {
		f.invalid(at.Key(corev1.PodDeletionCost), cost, "must be a 32bit integer")
	}
	if profile, set := annotations[corev1.SeccompPodAnnotationKey]; set {
		f.seccompAnnotation(profile, at.Child(corev1.SeccompPodAnnotationKey))
	}
	for _, key := range sortedKeys(annotations) {
		if strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix) {
			f.seccompAnnotation(annotations[key], at.Child(key))
		}
	}
	for _, key := range sortedKeys(annotations) {
		container, ok := strings.CutPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
		if !ok {
			continue
		}
		if !hasContainer(spec, container) {
			f.invalid(at.Key(key), container, "container not found")
		}
		if profile := annotations[key]; !isAppArmorProfile(profile) {
			f.invalid(at.Key(key), profile, fmt.Sprintf("invalid AppArmor profile name: %q", profile))
		}
	}
}

// isInt32 says whether text is a number as JSON would write it.
func isInt32(text string) bool {
	n, err := strconv.ParseInt(text, 10, 32)
	return err == nil && (strconv.FormatInt(n, 10) == text || strings.HasPrefix(text, "-"))
}

func (f *faults) seccompAnnotation(profile string, at *field.Path) {
	switch file, local := strings.CutPrefix(profile, corev1.SeccompLocalhostProfileNamePrefix); {
	case profile == corev1.SeccompProfileRuntimeDefault, profile == corev1.SeccompProfileNameUnconfined,
		profile == corev1.DeprecatedSeccompProfileDockerDefault:
	case local:
		f.descending(at, file)
	default:
		f.invalid(at, profile, "must be a valid seccomp profile")
	}
}

func isAppArmorProfile(profile string) bool {
	return profile == "" || profile == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault ||
		profile == corev1.DeprecatedAppArmorBetaProfileNameUnconfined ||
		strings.HasPrefix(profile, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
}

func hasContainer(spec *corev1.PodSpec, name string) bool {
	found := false
	(&podChecker{spec: spec}).eachContainer(func(c *corev1.Container, _ *field.Path) { found = found || c.Name == name })
	return found
}

// profilesAgree checks that a profile given by field and by its older
// annotation is the same.
func (f *faults) profilesAgree(annotations map[string]string, spec *corev1.PodSpec, at *field.Path) {
	if len(annotations) == 0 {
		return
	}
	shared := spec.SecurityContext
	if shared == nil {
		shared = &corev1.PodSecurityContext{}
	}
	if text, set := annotations[corev1.SeccompPodAnnotationKey]; set && shared.SeccompProfile != nil {
		f.agree(seccompField(shared.SeccompProfile), text, at.Child("securityContext", "seccompProfile"))
	}
	containers := podChecker{spec: spec, path: at}
	containers.eachContainer(func(c *corev1.Container, at *field.Path) {
		text, set := annotations[corev1.SeccompContainerAnnotationKeyPrefix+c.Name]
		if set && c.SecurityContext != nil && c.SecurityContext.SeccompProfile != nil {
			f.agree(seccompField(c.SecurityContext.SeccompProfile), text, at.Child("securityContext", "seccompProfile"))
		}
	})
	if spec.OS != nil && spec.OS.Name == corev1.Windows {
		return
	}
	containers.eachContainer(func(c *corev1.Container, at *field.Path) {
		profile := shared.AppArmorProfile
		if c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
			profile = c.SecurityContext.AppArmorProfile
		}
		text, set := annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]
		if set && profile != nil {
			f.agree(appArmorField(profile), text, at.Child("securityContext", "appArmorProfile"))
		}
	})
}

// profile is a security profile as its field gives it, next to the words that
// an annotation has for its type.
type profile struct {
	what  string // apparmor or seccomp, for the message
	words []string
	local bool
	file  *string
}

func seccompField(p *corev1.SeccompProfile) profile {
	words := map[corev1.SeccompProfileType][]string{
		corev1.SeccompProfileTypeUnconfined:     {corev1.SeccompProfileNameUnconfined},
		corev1.SeccompProfileTypeRuntimeDefault: {corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault},
	}
	return profile{what: "seccomp", words: words[p.Type], local: p.Type == corev1.SeccompProfileTypeLocalhost, file: p.LocalhostProfile}
}

func appArmorField(p *corev1.AppArmorProfile) profile {
	words := map[corev1.AppArmorProfileType][]string{
		corev1.AppArmorProfileTypeUnconfined:     {corev1.DeprecatedAppArmorBetaProfileNameUnconfined},
		corev1.AppArmorProfileTypeRuntimeDefault: {corev1.DeprecatedAppArmorBetaProfileRuntimeDefault},
	}
	return profile{what: "apparmor", words: words[p.Type], local: p.Type == corev1.AppArmorProfileTypeLocalhost, file: p.LocalhostProfile}
}

func (f *faults) agree(p profile, annotation string, at *field.Path) {
	wrongType := func() {
		f.forbidden(at.Child("type"), p.what+" type in annotation and field must match")
	}
	if p.local {
		switch file, local := strings.CutPrefix(annotation, "localhost/"); {
		case !local:
			wrongType()
		case p.file == nil || *p.file != file:
			f.forbidden(at.Child("localhostProfile"), p.what+" profile in annotation and field must match")
		}
		return
	}
	// An unknown type is reported as such elsewhere.
	if len(p.words) > 0 && !slices.Contains(p.words, annotation) {
		wrongType()
	}
}
