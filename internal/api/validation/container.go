package validation

import (
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// container checks what holds for containers of all sorts.
func (p *podChecker) container(c *corev1.Container, at *field.Path) {
	if p.needs(at.Child("name"), c.Name) {
		p.label(at.Child("name"), c.Name)
	}
	p.needs(at.Child("image"), c.Image)
	choice(&p.faults, at.Child("terminationMessagePolicy"), c.TerminationMessagePolicy,
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)
	p.ports(c.Ports, at.Child("ports"))
	p.env(c.Env, at.Child("env"))
	p.envFrom(c.EnvFrom, at.Child("envFrom"))
	p.mounts(c, at.Child("volumeMounts"))
	p.devices(c, at.Child("volumeDevices"))
	p.pullPolicy(c.ImagePullPolicy, at.Child("imagePullPolicy"))
	p.containerResources(&c.Resources, p.claims, at.Child("resources"))
	p.resizePolicy(c.ResizePolicy, at.Child("resizePolicy"))
	p.containerSecurity(c.SecurityContext, at.Child("securityContext"))
}

func (f *faults) pullPolicy(policy corev1.PullPolicy, at *field.Path) {
	choice(f, at, policy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
}

// containers checks the regular containers, of which there is at least one.
// That their names differ from those of other sorts is checked there.
func (p *podChecker) containers(at *field.Path) {
	if len(p.spec.Containers) == 0 {
		p.required(at, "")
		return
	}
	names, hostPorts := seen[string]{}, seen[string]{}
	for i := range p.spec.Containers {
		c, at := &p.spec.Containers[i], at.Index(i)
		p.container(c, at)
		if names.again(c.Name) {
			p.duplicate(at.Child("name"), c.Name)
		}
		p.lifecycle(c.Lifecycle, at.Child("lifecycle"))
		p.probes(c, at)
		p.restartRules(c, at)
	}
	for i := range p.spec.Containers {
		p.hostPorts(&p.spec.Containers[i], hostPorts, at.Index(i))
	}
}

// initContainers checks the containers that run before the others. One that is
// always restarted is a sidecar and may have hooks and probes.
func (p *podChecker) initContainers(at *field.Path) {
	names := seen[string]{}
	for i := range p.spec.Containers {
		names[p.spec.Containers[i].Name] = true
	}
	for i := range p.spec.InitContainers {
		c, at, list := &p.spec.InitContainers[i], at.Index(i), at
		p.container(c, at)
		p.initRestartRules(c, at)
		// Two nameless containers are reported as nameless, not as equal.
		if names[c.Name] {
			p.duplicate(at.Child("name"), c.Name)
		} else if c.Name != "" {
			names[c.Name] = true
		}
		// They run one by one, so each has the host's ports to itself. The index
		// is upstream's.
		p.hostPorts(c, seen[string]{}, list.Index(0))
		if isSidecar(c) {
			p.lifecycle(c.Lifecycle, at.Child("lifecycle"))
			p.probes(c, at)
			continue
		}
		p.onlySidecars(c, at)
	}
}

func (p *podChecker) onlySidecars(c *corev1.Container, at *field.Path) {
	const text = "may not be set for init containers without restartPolicy=Always"
	if c.Lifecycle != nil {
		p.forbidden(at.Child("lifecycle"), text)
	}
	for _, probe := range []struct {
		name string
		set  bool
	}{
		{"livenessProbe", c.LivenessProbe != nil},
		{"readinessProbe", c.ReadinessProbe != nil},
		{"startupProbe", c.StartupProbe != nil},
	} {
		if probe.set {
			p.forbidden(at.Child(probe.name), text)
		}
	}
	for j, policy := range c.ResizePolicy {
		if policy.RestartPolicy == corev1.RestartContainer {
			p.invalid(at.Child("resizePolicy").Index(j).Child("restartPolicy"), policy.RestartPolicy,
				"must not be set to 'RestartContainer' for non-sidecar initContainers")
		}
	}
}

func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// ephemeralContainers checks the containers that were added to a running pod.
// They are for looking around: no ports, probes, hooks or resources.
func (p *podChecker) ephemeralContainers(at *field.Path) {
	names, targets := seen[string]{}, seen[string]{}
	for _, list := range [][]corev1.Container{p.spec.Containers, p.spec.InitContainers} {
		for i := range list {
			names[list[i].Name], targets[list[i].Name] = true, true
		}
	}
	for i := range p.spec.EphemeralContainers {
		ephemeral, at := &p.spec.EphemeralContainers[i], at.Index(i)
		c := (*corev1.Container)(&ephemeral.EphemeralContainerCommon)
		p.container(c, at)
		p.imageSpace(c, at)
		if names.again(c.Name) {
			p.duplicate(at.Child("name"), c.Name)
		}
		if target := ephemeral.TargetContainerName; target != "" && !targets[target] {
			p.notFound(at.Child("targetContainerName"), target)
		}
		const text = "cannot be set for an Ephemeral Container"
		p.add(onlyFields(ephemeral.EphemeralContainerCommon, text, at,
			"name", "image", "command", "args", "workingDir", "envFrom", "env", "volumeMounts", "volumeDevices",
			"terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy", "securityContext",
			"stdin", "stdinOnce", "tty")...)
		for j, mount := range c.VolumeMounts {
			if mount.SubPath != "" {
				p.forbidden(at.Child("volumeMounts").Index(j).Child("subPath"), text)
			}
			if mount.SubPathExpr != "" {
				p.forbidden(at.Child("volumeMounts").Index(j).Child("subPathExpr"), text)
			}
		}
	}
}

// onlyFields refuses every field of a struct that is set but not among those
// allowed. Listing the allowed ones keeps out fields that are yet to come.
func onlyFields(of any, text string, at *field.Path, allowed ...string) field.ErrorList {
	var errs field.ErrorList
	ok := seen[string]{}
	for _, name := range allowed {
		ok[name] = true
	}
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if !ok[name] && !reflect.DeepEqual(v.Field(i).Interface(), reflect.Zero(v.Field(i).Type()).Interface()) {
			errs = append(errs, field.Forbidden(at.Child(name), text))
		}
	}
	return errs
}

// imageSpace refuses what templates accept, where a placeholder may stand in
// for the image.
func (f *faults) imageSpace(c *corev1.Container, at *field.Path) {
	if strings.TrimSpace(c.Image) != c.Image {
		f.invalid(at.Child("image"), c.Image, "must not have leading or trailing whitespace")
	}
}

func (f *faults) ports(ports []corev1.ContainerPort, at *field.Path) {
	names := seen[string]{}
	for i, port := range ports {
		at := at.Index(i)
		if port.Name != "" {
			msgs := validation.IsValidPortName(port.Name)
			f.messages(at.Child("name"), port.Name, msgs)
			if len(msgs) == 0 && names.again(port.Name) {
				f.duplicate(at.Child("name"), port.Name)
			}
		}
		if port.ContainerPort == 0 {
			f.required(at.Child("containerPort"), "")
		} else {
			f.messages(at.Child("containerPort"), port.ContainerPort, validation.IsValidPortNum(int(port.ContainerPort)))
		}
		if port.HostPort != 0 {
			f.messages(at.Child("hostPort"), port.HostPort, validation.IsValidPortNum(int(port.HostPort)))
		}
		f.protocol(port.Protocol, at.Child("protocol"))
	}
}

func (f *faults) protocol(protocol corev1.Protocol, at *field.Path) {
	choice(f, at, protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
}

// hostPorts reports the ports that another container has taken already.
func (f *faults) hostPorts(c *corev1.Container, taken seen[string], at *field.Path) {
	for i, port := range c.Ports {
		key := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
		if port.HostPort != 0 && taken.again(key) {
			f.duplicate(at.Child("ports").Index(i).Child("hostPort"), key)
		}
	}
}

// hostNetworkPorts checks that with the host's network a port is published
// under its own number. A template may leave that to the pod's defaults.
func (p *podChecker) hostNetworkPorts(at *field.Path) {
	if !p.spec.HostNetwork {
		return
	}
	for i := range p.spec.Containers {
		for j, port := range p.spec.Containers[i].Ports {
			if port.HostPort != port.ContainerPort && (p.pod != nil || port.HostPort != 0) {
				p.invalid(at.Index(i).Child("ports").Index(j).Child("hostPort"), port.HostPort,
					"must match `containerPort` when `hostNetwork` is true")
			}
		}
	}
}

// resizePolicy checks which changes of resources restart a container.
func (p *podChecker) resizePolicy(policies []corev1.ContainerResizePolicy, at *field.Path) {
	resources := seen[corev1.ResourceName]{}
	for i, policy := range policies {
		if resources.again(policy.ResourceName) {
			p.duplicate(at.Index(i), policy.ResourceName)
		}
		choice(&p.faults, at, policy.ResourceName, corev1.ResourceCPU, corev1.ResourceMemory)
		choice(&p.faults, at, policy.RestartPolicy, corev1.NotRequired, corev1.RestartContainer)
		if p.spec.RestartPolicy == corev1.RestartPolicyNever && policy.RestartPolicy != corev1.NotRequired {
			p.invalid(at, policy.RestartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'")
		}
	}
}

// initRestartRules is restartRules, but for the rules of a container without a
// policy of its own, which are not looked at.
func (p *podChecker) initRestartRules(c *corev1.Container, at *field.Path) {
	if c.RestartPolicy == nil && len(c.RestartPolicyRules) > 0 {
		p.required(at.Child("restartPolicy"), rulesWithoutPolicy)
		return
	}
	p.restartRules(c, at)
}

const rulesWithoutPolicy = "must specify restartPolicy when restart rules are used"

// restartRules checks a container's own restart policy, and the exit codes it
// makes exceptions for.
func (p *podChecker) restartRules(c *corev1.Container, at *field.Path) {
	rules := at.Child("restartPolicyRules")
	if c.RestartPolicy == nil {
		if len(c.RestartPolicyRules) == 0 {
			return
		}
		p.required(at.Child("restartPolicy"), rulesWithoutPolicy)
	} else {
		supported(&p.faults, at.Child("restartPolicy"), *c.RestartPolicy, corev1.ContainerRestartPolicyAlways,
			corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)
	}
	if n := len(c.RestartPolicyRules); n > 20 {
		p.add(field.TooMany(rules, n, 20))
	}
	for i, rule := range c.RestartPolicyRules {
		at := rules.Index(i)
		supported(&p.faults, at.Child("action"), rule.Action,
			corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)
		if rule.ExitCodes == nil {
			p.required(at.Child("exitCodes"), "must be specified")
			continue
		}
		supported(&p.faults, at.Child("exitCodes", "operator"), rule.ExitCodes.Operator,
			corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)
		if n := len(rule.ExitCodes.Values); n > 255 {
			p.add(field.TooMany(at.Child("exitCodes", "values"), n, 255))
		}
	}
}
