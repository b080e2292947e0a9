package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What the resolver of the C library can take.
const (
	maxNameservers    = 3
	maxSearchPaths    = 32
	maxSearchListSize = 2048
)

// dnsConfig checks the resolver settings of a pod. Without a policy they are
// all there is, so they must name a server.
func (p *podChecker) dnsConfig(at *field.Path) {
	config := p.spec.DNSConfig
	if p.spec.DNSPolicy == corev1.DNSNone {
		if config == nil {
			p.required(at, fmt.Sprintf("must provide `dnsConfig` when `dnsPolicy` is %s", corev1.DNSNone))
			return
		}
		if len(config.Nameservers) == 0 {
			p.required(at.Child("nameservers"), fmt.Sprintf("must provide at least one DNS nameserver when `dnsPolicy` is %s", corev1.DNSNone))
			return
		}
	}
	if config == nil {
		return
	}
	if len(config.Nameservers) > maxNameservers {
		p.invalid(at.Child("nameservers"), config.Nameservers, fmt.Sprintf("must not have more than %v nameservers", maxNameservers))
	}
	for i, server := range config.Nameservers {
		p.ip(server, at.Child("nameservers").Index(i))
	}
	p.searches(config.Searches, at.Child("searches"))
	for i, option := range config.Options {
		if option.Name == "" {
			p.required(at.Child("options").Index(i), "must not be empty")
		}
	}
}

func (f *faults) searches(list []string, at *field.Path) {
	if len(list) > maxSearchPaths {
		f.invalid(at, list, fmt.Sprintf("must not have more than %v search paths", maxSearchPaths))
	}
	if len(strings.Join(list, " ")) > maxSearchListSize {
		f.invalid(at, list, fmt.Sprintf("must not have more than %v characters (including spaces) in the search list", maxSearchListSize))
	}
	for i, search := range list {
		if search != "." {
			search = strings.TrimSuffix(search, ".")
			f.messages(at.Index(i), search, validation.IsDNS1123SubdomainWithUnderscore(search))
		}
	}
}

// ip checks an address strictly: without leading zeros, and no IPv4 address
// mapped into IPv6. Those in old may stay as they are.
func (f *faults) ip(address string, at *field.Path, old ...string) {
	f.add(validation.IsValidIPForLegacyField(at, address, true, old)...)
}

// cidr checks an address range as strictly.
func (f *faults) cidr(value string, at *field.Path, old ...string) {
	f.add(validation.IsValidCIDRForLegacyField(at, value, true, old)...)
}

func (f *faults) hostAliases(aliases []corev1.HostAlias, at *field.Path) {
	for i, alias := range aliases {
		f.ip(alias.IP, at.Index(i).Child("ip"))
		for j, name := range alias.Hostnames {
			f.subdomain(at.Index(i).Child("hostnames").Index(j), name)
		}
	}
}

// hostnameOverride checks a pod's host name that replaces all other rules.
func (p *podChecker) hostnameOverride(at *field.Path) {
	if p.spec.HostnameOverride == nil {
		return
	}
	if isTrue(p.spec.SetHostnameAsFQDN) {
		p.forbidden(at, "may not be specified when setHostnameAsFQDN is true")
	}
	if p.spec.HostNetwork {
		p.forbidden(at, "may not be specified when hostNetwork is true")
	}
	const longest = 64 // what Linux takes
	if len(*p.spec.HostnameOverride) > longest {
		p.add(field.TooLong(at, "", longest))
	}
	p.subdomain(at, *p.spec.HostnameOverride)
}
