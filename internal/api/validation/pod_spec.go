package validation

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podChecker checks the spec of a pod or of a pod template.
type podChecker struct {
	faults
	spec *corev1.PodSpec
	path *field.Path
	// pod is the metadata of the pod that has the spec; nil for a template.
	pod *metav1.ObjectMeta

	volumes map[string]*corev1.VolumeSource // those without faults, by name
	claims  []string                        // names of the resource claims, sorted
}

// check runs all checks of the spec. What stays as it is in a template but not
// in a pod is checked by the caller.
func (p *podChecker) check() {
	spec, at := p.spec, p.path
	if spec.TerminationGracePeriodSeconds == nil {
		p.required(at.Child("terminationGracePeriodSeconds"), "")
	}
	p.podVolumes(at.Child("volumes"))
	p.podClaims(at.Child("resourceClaims"))
	p.containers(at.Child("containers"))
	p.initContainers(at.Child("initContainers"))
	p.ephemeralContainers(at.Child("ephemeralContainers"))
	p.podResources()
	p.hostNetworkPorts(at.Child("containers"))
	choice(&p.faults, at.Child("restartPolicy"), spec.RestartPolicy,
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	choice(&p.faults, at.Child("dnsPolicy"), spec.DNSPolicy,
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)
	p.add(labelsAt(spec.NodeSelector, at.Child("nodeSelector"))...)
	p.podSecurity(spec.SecurityContext, at.Child("securityContext"))
	p.affinity(spec.Affinity, at.Child("affinity"))
	p.dnsConfig(at.Child("dnsConfig"))
	p.gates()
	p.spread(spec.TopologySpreadConstraints, at.Child("topologySpreadConstraints"))
	p.hostProcesses()
	p.userNamespace()
	p.hostnameOverride(at.Child("hostnameOverride"))
	p.names()
	p.tolerations(spec.Tolerations, at.Child("tolerations"))
	p.hostAliases(spec.HostAliases, at.Child("hostAliases"))
	p.priorityAndRuntime()
	p.os(at.Child("os"))
	p.schedulingGroup(at.Child("schedulingGroup"))
	p.evictionResponders(at.Child("evictionResponders"))
	p.envFiles()
}

// eachContainer calls visit for the containers of all three sorts, in the
// order in which they start.
func (p *podChecker) eachContainer(visit func(c *corev1.Container, at *field.Path)) {
	for i := range p.spec.InitContainers {
		visit(&p.spec.InitContainers[i], p.path.Child("initContainers").Index(i))
	}
	for i := range p.spec.Containers {
		visit(&p.spec.Containers[i], p.path.Child("containers").Index(i))
	}
	for i := range p.spec.EphemeralContainers {
		common := (*corev1.Container)(&p.spec.EphemeralContainers[i].EphemeralContainerCommon)
		visit(common, p.path.Child("ephemeralContainers").Index(i))
	}
}

// gates checks what readiness and scheduling wait for.
func (p *podChecker) gates() {
	for i, gate := range p.spec.ReadinessGates {
		p.qualifiedName(p.path.Child("readinessGates").Index(i).Child("conditionType"), string(gate.ConditionType))
	}
	known := seen[string]{}
	for i, gate := range p.spec.SchedulingGates {
		at := p.path.Child("schedulingGates").Index(i)
		p.qualifiedName(at, gate.Name)
		if known.again(gate.Name) {
			p.duplicate(at, gate.Name)
		}
	}
}

// names checks the names by which a pod refers to others, and its own.
func (p *podChecker) names() {
	spec, at := p.spec, p.path
	if spec.ServiceAccountName != "" {
		p.messages(at.Child("serviceAccountName"), spec.ServiceAccountName,
			apivalidation.ValidateServiceAccountName(spec.ServiceAccountName, false))
	}
	if spec.NodeName != "" {
		p.subdomain(at.Child("nodeName"), spec.NodeName)
	}
	if deadline := spec.ActiveDeadlineSeconds; deadline != nil && (*deadline < 1 || *deadline > math.MaxInt32) {
		p.invalid(at.Child("activeDeadlineSeconds"), *deadline, validation.InclusiveRangeError(1, math.MaxInt32))
	}
	if spec.Hostname != "" {
		p.label(at.Child("hostname"), spec.Hostname)
	}
	if spec.Subdomain != "" {
		p.label(at.Child("subdomain"), spec.Subdomain)
	}
}

func (p *podChecker) priorityAndRuntime() {
	spec, at := p.spec, p.path
	if spec.PriorityClassName != "" {
		p.subdomain(at.Child("priorityClassName"), spec.PriorityClassName)
	}
	if spec.RuntimeClassName != nil {
		p.subdomain(at.Child("runtimeClassName"), *spec.RuntimeClassName)
	}
	if spec.PreemptionPolicy != nil {
		p.preemptionPolicy(*spec.PreemptionPolicy, at.Child("preemptionPolicy"))
	}
	if spec.Overhead != nil {
		p.containerResources(&corev1.ResourceRequirements{Limits: spec.Overhead}, nil, at.Child("overhead"))
	}
}

func (f *faults) preemptionPolicy(policy corev1.PreemptionPolicy, at *field.Path) {
	choice(f, at, policy, corev1.PreemptLowerPriority, corev1.PreemptNever)
}

func (p *podChecker) schedulingGroup(at *field.Path) {
	group := p.spec.SchedulingGroup
	switch {
	case group == nil:
	case group.PodGroupName == nil:
		p.invalid(at.Child("podGroupName"), nil, "must specify one of: `podGroupName`")
	default:
		p.subdomain(at.Child("podGroupName"), *group.PodGroupName)
	}
}

// podClaims checks the resource claims of a pod, and remembers their names.
func (p *podChecker) podClaims(at *field.Path) {
	known := seen[string]{}
	for i, claim := range p.spec.ResourceClaims {
		if p.pod != nil && isMirror(p.pod) {
			p.forbidden(field.NewPath(""), "static pods do not support resource claims")
			continue
		}
		at := at.Index(i)
		switch {
		case !p.needs(at.Child("name"), claim.Name):
		case known.again(claim.Name):
			p.duplicate(at.Child("name"), claim.Name)
		default:
			p.label(at.Child("name"), claim.Name)
		}
		byName, byTemplate := claim.ResourceClaimName, claim.ResourceClaimTemplateName
		switch {
		case byName != nil && byTemplate != nil:
			p.invalid(at, claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
		case byName == nil && byTemplate == nil:
			p.invalid(at, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
		}
		if byName != nil {
			p.subdomain(at.Child("resourceClaimName"), *byName)
		}
		if byTemplate != nil {
			p.subdomain(at.Child("resourceClaimTemplateName"), *byTemplate)
		}
	}
	for _, claim := range p.spec.ResourceClaims {
		if claim.Name != "" {
			known[claim.Name] = true
		}
	}
	p.claims = sortedKeys(known)
}

func isMirror(pod *metav1.ObjectMeta) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}
