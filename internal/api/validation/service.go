package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// Service checks a new service, with the addresses that the strategy gave it.
func Service(svc *corev1.Service) field.ErrorList {
	f := faults{list: namespaced(&svc.ObjectMeta, apivalidation.NameIsDNSLabel)}
	f.service(svc, &corev1.Service{})
	return f.list
}

// ServiceUpdate checks a changed service.
func ServiceUpdate(svc, old *corev1.Service) field.ErrorList {
	f := faults{list: metaUpdate(&svc.ObjectMeta, &old.ObjectMeta)}
	f.addressUpdate(&svc.Spec, &old.Spec)
	f.classUpdate(&svc.Spec, &old.Spec)
	if needsHealthCheck(&svc.Spec) && needsHealthCheck(&old.Spec) && svc.Spec.HealthCheckNodePort != old.Spec.HealthCheckNodePort {
		f.forbidden(specPath.Child("healthCheckNodePort"), apivalidation.FieldImmutableErrorMsg)
	}
	f.service(svc, old)
	return f.list
}

// service checks the parts of a service. What old has already may stay as it
// is; for a new service old is empty.
func (f *faults) service(svc, old *corev1.Service) {
	spec := &svc.Spec
	f.topologyMode(svc.Annotations)
	f.serviceType(spec)
	names := seen[string]{}
	for i := range spec.Ports {
		f.servicePort(&spec.Ports[i], len(spec.Ports) > 1, names, specPath.Child("ports").Index(i))
	}
	f.add(labelsAt(spec.Selector, specPath.Child("selector"))...)
	f.sessionAffinity(spec)
	if spec.Type != corev1.ServiceTypeExternalName {
		f.addresses(spec, old.Spec.ClusterIPs)
	}
	for i, ip := range spec.ExternalIPs {
		f.externalIP(ip, specPath.Child("externalIPs").Index(i), old.Spec.ExternalIPs)
	}
	choice(f, specPath.Child("type"), spec.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName,
		corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)
	f.portNumbers(spec)
	f.loadBalancer(svc, old)
	f.trafficPolicies(spec)
}

// topologyMode wants an annotation and its older name to agree.
func (f *faults) topologyMode(annotations map[string]string) {
	mode, hasMode := annotations[corev1.AnnotationTopologyMode]
	hints, hasHints := annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	if hasMode && hasHints && mode != hints {
		f.invalid(metadataPath.Child("annotations").Key(corev1.AnnotationTopologyMode), mode,
			fmt.Sprintf("must match annotations[%s] when both are specified", corev1.DeprecatedAnnotationTopologyAwareHints))
	}
}

func isHeadless(spec *corev1.ServiceSpec) bool {
	return len(spec.ClusterIPs) == 1 && spec.ClusterIPs[0] == corev1.ClusterIPNone
}

// serviceType checks what each type needs and cannot have.
func (f *faults) serviceType(spec *corev1.ServiceSpec) {
	if len(spec.Ports) == 0 && !isHeadless(spec) && spec.Type != corev1.ServiceTypeExternalName {
		f.required(specPath.Child("ports"), "")
	}
	switch spec.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if isHeadless(spec) {
			f.invalid(specPath.Child("clusterIPs").Index(0), spec.ClusterIPs[0],
				fmt.Sprintf("may not be set to 'None' for %s services", spec.Type))
		}
	case corev1.ServiceTypeExternalName:
		for _, s := range []setting{
			{"clusterIPs", len(spec.ClusterIPs) > 0},
			{"ipFamilies", len(spec.IPFamilies) > 0},
			{"ipFamilyPolicy", spec.IPFamilyPolicy != nil},
		} {
			if s.set {
				f.forbidden(specPath.Child(s.path), "may not be set for ExternalName services")
			}
		}
		name := strings.TrimSuffix(spec.ExternalName, ".") // a final dot is fine
		if f.needs(specPath.Child("externalName"), name) {
			f.subdomain(specPath.Child("externalName"), name)
		}
	}
}

func (f *faults) servicePort(port *corev1.ServicePort, several bool, names seen[string], at *field.Path) {
	name := at.Child("name")
	if port.Name != "" {
		f.label(name, port.Name)
		if names.again(port.Name) {
			f.duplicate(name, port.Name)
		}
	} else if several {
		f.required(name, "")
	}
	f.messages(at.Child("port"), port.Port, validation.IsValidPortNum(int(port.Port)))
	f.protocol(port.Protocol, at.Child("protocol"))
	f.port(port.TargetPort, at.Child("targetPort"))
	if port.AppProtocol != nil {
		f.qualifiedName(at.Child("appProtocol"), *port.AppProtocol)
	}
}

// portNumbers checks that no number is used twice for one protocol.
func (f *faults) portNumbers(spec *corev1.ServiceSpec) {
	at := specPath.Child("ports")
	if spec.Type == corev1.ServiceTypeClusterIP {
		for i, port := range spec.Ports {
			if port.NodePort != 0 {
				f.forbidden(at.Index(i).Child("nodePort"), "may not be used when `type` is 'ClusterIP'")
			}
		}
	}
	nodePorts, ports := seen[corev1.ServicePort]{}, seen[corev1.ServicePort]{}
	for i, port := range spec.Ports {
		if port.NodePort != 0 && nodePorts.again(corev1.ServicePort{Protocol: port.Protocol, NodePort: port.NodePort}) {
			f.duplicate(at.Index(i).Child("nodePort"), port.NodePort)
		}
	}
	for i, port := range spec.Ports {
		key := corev1.ServicePort{Protocol: port.Protocol, Port: port.Port}
		if ports.again(key) {
			f.duplicate(at.Index(i), key)
		}
	}
}

func (f *faults) sessionAffinity(spec *corev1.ServiceSpec) {
	choice(f, specPath.Child("sessionAffinity"), spec.SessionAffinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	at, config := specPath.Child("sessionAffinityConfig"), spec.SessionAffinityConfig
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityNone:
		if config != nil {
			f.forbidden(at, fmt.Sprintf("must not be set when session affinity is %s", corev1.ServiceAffinityNone))
		}
	case corev1.ServiceAffinityClientIP:
		missing := fmt.Sprintf("when session affinity type is %s", corev1.ServiceAffinityClientIP)
		timeout := at.Child("clientIP", "timeoutSeconds")
		const longest = 86400
		switch {
		case config == nil:
			f.required(at, missing)
		case config.ClientIP == nil:
			f.required(at.Child("clientIP"), missing)
		case config.ClientIP.TimeoutSeconds == nil:
			f.required(timeout, missing)
		case *config.ClientIP.TimeoutSeconds <= 0 || *config.ClientIP.TimeoutSeconds > longest:
			f.invalid(timeout, *config.ClientIP.TimeoutSeconds, fmt.Sprintf("must be greater than 0 and less than %d", longest))
		}
	}
}

// externalIP refuses addresses that cannot lead to a service from outside.
func (f *faults) externalIP(ip string, at *field.Path, old []string) {
	before := len(f.list)
	f.ip(ip, at, old...)
	parsed := netutils.ParseIPSloppy(ip)
	if len(f.list) > before || parsed == nil {
		return
	}
	if parsed.IsUnspecified() {
		f.invalid(at, ip, fmt.Sprintf("may not be unspecified (%v)", ip))
	}
	f.beyondLink(parsed, ip, at)
}

func externallyAccessible(spec *corev1.ServiceSpec) bool {
	return spec.Type == corev1.ServiceTypeLoadBalancer || spec.Type == corev1.ServiceTypeNodePort ||
		spec.Type == corev1.ServiceTypeClusterIP && len(spec.ExternalIPs) > 0
}

func needsHealthCheck(spec *corev1.ServiceSpec) bool {
	return spec.Type == corev1.ServiceTypeLoadBalancer && spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// trafficPolicies checks how traffic is led to the pods of a service.
func (f *faults) trafficPolicies(spec *corev1.ServiceSpec) {
	at := specPath.Child("externalTrafficPolicy")
	if externallyAccessible(spec) {
		choice(f, at, spec.ExternalTrafficPolicy,
			corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	} else if spec.ExternalTrafficPolicy != "" {
		f.invalid(at, spec.ExternalTrafficPolicy, "may only be set for externally-accessible services")
	}

	at = specPath.Child("healthCheckNodePort")
	switch port := spec.HealthCheckNodePort; {
	case !needsHealthCheck(spec) && port != 0:
		f.invalid(at, port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
	case needsHealthCheck(spec) && port != 0: // without one: nobody here gives them out
		f.messages(at, port, validation.IsValidPortNum(int(port)))
	}

	at = specPath.Child("internalTrafficPolicy")
	if spec.InternalTrafficPolicy != nil {
		supported(f, at, *spec.InternalTrafficPolicy,
			corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)
	} else if slices.Contains([]corev1.ServiceType{
		corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeClusterIP}, spec.Type) {
		f.required(at, "")
	}
	if spec.TrafficDistribution != nil {
		supported(f, specPath.Child("trafficDistribution"), *spec.TrafficDistribution, corev1.ServiceTrafficDistributionPreferClose,
			corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)
	}
}
