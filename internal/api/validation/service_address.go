package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// addresses checks the addresses of a service inside the cluster, at most one
// of each family. Those in old may stay as they are.
func (f *faults) addresses(spec *corev1.ServiceSpec, old []string) {
	at, ips := specPath.Child("clusterIPs"), spec.ClusterIPs
	switch {
	case spec.ClusterIP == "" && len(ips) > 0:
		f.invalid(at, ips, "must be empty when `clusterIP` is not specified")
	case spec.ClusterIP != "" && len(ips) == 0:
		f.required(at, "")
	case spec.ClusterIP != "" && ips[0] != spec.ClusterIP:
		f.invalid(at, ips, "first value must match `clusterIP`")
	}
	f.families(spec)

	broken := false
	for i, ip := range ips {
		before := len(f.list)
		if i > 0 || ip != corev1.ClusterIPNone {
			f.ip(ip, at.Index(i), old...)
		} else if len(ips) > 1 {
			f.invalid(at, ips, "'None' must be the first and only value")
		}
		broken = broken || len(f.list) > before
	}
	if len(ips) > 2 {
		f.invalid(at, ips, "may only hold up to 2 values")
	}
	if broken {
		return // of what family a broken address is, nobody knows
	}
	if dual, err := netutils.IsDualStackIPStrings(ips); len(ips) > 1 && (err != nil || !dual) {
		f.invalid(at, ips, "may specify no more than one IP for each IP family")
	}
	if isHeadless(spec) {
		return
	}
	for i := range min(len(ips), len(spec.IPFamilies)) {
		family := spec.IPFamilies[i]
		is6 := netutils.IsIPv6String(ips[i])
		if family == corev1.IPv4Protocol && is6 || family == corev1.IPv6Protocol && !is6 {
			f.invalid(at.Index(i), ips[i], fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%v]`", family, i))
		}
	}
}

func (f *faults) families(spec *corev1.ServiceSpec) {
	families := seen[corev1.IPFamily]{}
	for i, family := range spec.IPFamilies {
		at := specPath.Child("ipFamilies").Index(i)
		supported(f, at, family, corev1.IPv4Protocol, corev1.IPv6Protocol)
		if families.again(family) {
			f.duplicate(at, family)
		}
	}
	if spec.IPFamilyPolicy != nil {
		supported(f, specPath.Child("ipFamilyPolicy"), *spec.IPFamilyPolicy, corev1.IPFamilyPolicyPreferDualStack,
			corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack)
	}
}

// addressUpdate lets a second address be added and taken away. The first one
// stays, and so does its family.
func (f *faults) addressUpdate(now, was *corev1.ServiceSpec) {
	if now.Type == corev1.ServiceTypeExternalName || was.Type == corev1.ServiceTypeExternalName {
		return
	}
	if !isHeadless(now) || !isHeadless(was) {
		f.keepFirst(primary{one: "clusterIP", list: "clusterIPs", now: now.ClusterIPs, was: was.ClusterIPs}, now)
	}
	if !isHeadless(now) && !isHeadless(was) {
		f.keepFirst(primary{one: "ipFamily", list: "ipFamilies", now: texts(now.IPFamilies), was: texts(was.IPFamilies)}, now)
	}
}

// primary is a list of which the first item stays, before and after an update.
type primary struct {
	one, list string // what an item is called, and the list
	now, was  []string
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, item := range list {
		out[i] = string(item)
	}
	return out
}

// keepFirst checks the change of such a list. To let the second item go, the
// policy must say that there is to be one only.
func (f *faults) keepFirst(p primary, now *corev1.ServiceSpec) {
	at := specPath.Child(p.list)
	if len(p.now) < len(p.was) {
		if len(now.ClusterIPs) == 0 {
			f.invalid(at.Index(0), p.now, "primary "+p.one+" can not be unset")
		}
		if len(p.now) == 1 && valueOf(now.IPFamilyPolicy) != corev1.IPFamilyPolicySingleStack {
			f.invalid(specPath.Child("ipFamilyPolicy"), now.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary "+p.one)
		}
	}
	kept := len(p.now)
	if len(p.now) != len(p.was) {
		kept = min(len(p.now), len(p.was), 1)
	}
	for i := range kept {
		if p.now[i] != p.was[i] {
			f.invalid(at.Index(i), p.now, "may not change once set")
		}
	}
}

// classUpdate keeps the class of a load balancer.
func (f *faults) classUpdate(now, was *corev1.ServiceSpec) {
	balanced := now.Type == corev1.ServiceTypeLoadBalancer && was.Type == corev1.ServiceTypeLoadBalancer
	same := valueOf(now.LoadBalancerClass) == valueOf(was.LoadBalancerClass) &&
		(now.LoadBalancerClass == nil) == (was.LoadBalancerClass == nil)
	if balanced && !same {
		f.invalid(specPath.Child("loadBalancerClass"), now.LoadBalancerClass, "may not change once set")
	}
}

// loadBalancer checks what only a load balancer has.
func (f *faults) loadBalancer(svc, old *corev1.Service) {
	const text = "may only be used when `type` is 'LoadBalancer'"
	spec := &svc.Spec
	balanced := spec.Type == corev1.ServiceTypeLoadBalancer
	f.sourceRanges(svc, old)
	switch allocate := spec.AllocateLoadBalancerNodePorts; {
	case allocate != nil && !balanced:
		f.forbidden(specPath.Child("allocateLoadBalancerNodePorts"), text)
	case allocate == nil && balanced:
		f.required(field.NewPath("allocateLoadBalancerNodePorts"), "")
	}
	switch class := spec.LoadBalancerClass; {
	case class != nil && !balanced:
		f.forbidden(specPath.Child("loadBalancerClass"), text)
	case class != nil:
		f.qualifiedName(specPath.Child("loadBalancerClass"), *class)
	}
}

// sourceRanges checks from where a load balancer may be used: a list, or else
// an annotation with commas. Spaces around a range have always been accepted.
func (f *faults) sourceRanges(svc, old *corev1.Service) {
	const text = "may only be used when `type` is 'LoadBalancer'"
	balanced := svc.Spec.Type == corev1.ServiceTypeLoadBalancer
	if ranges := svc.Spec.LoadBalancerSourceRanges; len(ranges) > 0 {
		at := specPath.Child("LoadBalancerSourceRanges")
		if !balanced {
			f.forbidden(at, text)
		}
		var known []string
		for _, value := range old.Spec.LoadBalancerSourceRanges {
			known = append(known, strings.TrimSpace(value))
		}
		for i, value := range ranges {
			f.cidr(strings.TrimSpace(value), at.Index(i), known...)
		}
		return
	}
	value, set := svc.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]
	if !set {
		return
	}
	at := metadataPath.Child("annotations").Key(corev1.AnnotationLoadBalancerSourceRangesKey)
	if !balanced {
		f.forbidden(at, text)
	}
	if value == old.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey] || strings.TrimSpace(value) == "" {
		return
	}
	for part := range strings.SplitSeq(value, ",") {
		f.cidr(strings.TrimSpace(part), at)
	}
}

// ServiceStatusUpdate checks a changed status of a service: where its load
// balancer listens.
func ServiceStatusUpdate(svc, old *corev1.Service) field.ErrorList {
	f := faults{list: metaUpdate(&svc.ObjectMeta, &old.ObjectMeta)}
	at := statusPath.Child("loadBalancer", "ingress")
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer && len(svc.Status.LoadBalancer.Ingress) > 0 {
		f.forbidden(at, "may only be used when `spec.type` is 'LoadBalancer'")
		return f.list
	}
	var known []string
	for _, ingress := range old.Status.LoadBalancer.Ingress {
		if ingress.IP != "" {
			known = append(known, ingress.IP)
		}
	}
	for i := range svc.Status.LoadBalancer.Ingress {
		f.ingress(&svc.Status.LoadBalancer.Ingress[i], known, at.Index(i))
	}
	return f.list
}

func (f *faults) ingress(ingress *corev1.LoadBalancerIngress, known []string, at *field.Path) {
	if ingress.IP != "" {
		f.ip(ingress.IP, at.Child("ip"), known...)
	}
	switch mode := ingress.IPMode; {
	case mode == nil && ingress.IP != "":
		f.required(at.Child("ipMode"), "must be specified when `ip` is set")
	case mode == nil:
	case ingress.IP == "":
		f.forbidden(at.Child("ipMode"), "may not be specified when `ip` is not set")
	default:
		supported(f, at.Child("ipMode"), *mode, corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)
	}
	if ingress.Hostname != "" {
		f.subdomain(at.Child("hostname"), ingress.Hostname)
		if netutils.ParseIPSloppy(ingress.Hostname) != nil {
			f.invalid(at.Child("hostname"), ingress.Hostname, "must be a DNS name, not an IP address")
		}
	}
}
