package validation

//lint:file-ignore SA1019 Endpoints are deprecated, but clients still keep them.

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// How much an EndpointSlice may have.
const (
	maxEndpoints         = 1000
	maxEndpointAddresses = 100
	maxEndpointPorts     = 20000
	maxZoneHints         = 8
)

// Endpoints checks new endpoints.
func Endpoints(e *corev1.Endpoints) field.ErrorList {
	f := faults{list: namespaced(&e.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	for i := range e.Subsets {
		subset, at := &e.Subsets[i], field.NewPath("subsets").Index(i)
		if len(subset.Addresses) == 0 && len(subset.NotReadyAddresses) == 0 {
			f.required(at, "must specify `addresses` or `notReadyAddresses`")
		}
		for j := range subset.Addresses {
			f.endpointAddress(&subset.Addresses[j], at.Child("addresses").Index(j))
		}
		for j := range subset.NotReadyAddresses {
			f.endpointAddress(&subset.NotReadyAddresses[j], at.Child("notReadyAddresses").Index(j))
		}
		for j, port := range subset.Ports {
			at := at.Child("ports").Index(j)
			if len(subset.Ports) > 1 {
				f.needs(at.Child("name"), port.Name)
			}
			if port.Name != "" {
				f.label(at.Child("name"), port.Name)
			}
			f.messages(at.Child("port"), port.Port, validation.IsValidPortNum(int(port.Port)))
			f.endpointProtocol(&port.Protocol, port.AppProtocol, at)
		}
	}
	return f.list
}

// EndpointsUpdate checks changed endpoints.
func EndpointsUpdate(e, old *corev1.Endpoints) field.ErrorList {
	return append(metaUpdate(&e.ObjectMeta, &old.ObjectMeta), Endpoints(e)...)
}

func (f *faults) endpointAddress(a *corev1.EndpointAddress, at *field.Path) {
	f.ip(a.IP, at.Child("ip"))
	f.reachable(a.IP, at.Child("ip"))
	if a.Hostname != "" {
		f.label(at.Child("hostname"), a.Hostname)
	}
	if a.NodeName != nil {
		f.subdomain(at.Child("nodeName"), *a.NodeName)
	}
}

// reachable reports an address that means another machine to each.
func (f *faults) reachable(address string, at *field.Path) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return // of which something else was said
	}
	ip = ip.Unmap()
	if ip.IsUnspecified() {
		f.invalid(at, address, "may not be unspecified (0.0.0.0 or ::)")
	}
	f.beyondLink(ip, address, at)
}

// beyondLink reports an address that leads no further than the machine or its link.
func (f *faults) beyondLink(ip interface {
	IsLoopback() bool
	IsLinkLocalUnicast() bool
	IsLinkLocalMulticast() bool
}, text string, at *field.Path) {
	switch {
	case ip.IsLoopback():
		f.invalid(at, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
	case ip.IsLinkLocalUnicast():
		f.invalid(at, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
	case ip.IsLinkLocalMulticast():
		f.invalid(at, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
	}
}

func (f *faults) endpointProtocol(protocol *corev1.Protocol, app *string, at *field.Path) {
	if protocol == nil {
		f.required(at.Child("protocol"), "")
	} else {
		f.protocol(*protocol, at.Child("protocol"))
	}
	if app != nil {
		f.qualifiedName(at.Child("appProtocol"), *app)
	}
}

// EndpointSlice checks a new slice of endpoints.
func EndpointSlice(s *discoveryv1.EndpointSlice) field.ErrorList {
	f := faults{list: namespaced(&s.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	f.sliceContents(s)
	return f.list
}

// EndpointSliceUpdate checks a changed slice.
func EndpointSliceUpdate(s, old *discoveryv1.EndpointSlice) field.ErrorList {
	f := faults{list: metaUpdate(&s.ObjectMeta, &old.ObjectMeta)}
	f.add(unchanged(s.AddressType, old.AddressType, field.NewPath("addressType"))...)
	f.sliceContents(s)
	return f.list
}

func (f *faults) sliceContents(s *discoveryv1.EndpointSlice) {
	choice(f, field.NewPath("addressType"), s.AddressType, discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)
	if at := field.NewPath("endpoints"); len(s.Endpoints) > maxEndpoints {
		f.add(field.TooMany(at, len(s.Endpoints), maxEndpoints))
	} else {
		for i := range s.Endpoints {
			f.endpoint(&s.Endpoints[i], s.AddressType, at.Index(i))
		}
	}
	f.slicePorts(s.Ports, field.NewPath("ports"))
}

func (f *faults) endpoint(e *discoveryv1.Endpoint, kind discoveryv1.AddressType, at *field.Path) {
	addresses := at.Child("addresses")
	switch {
	case len(e.Addresses) == 0:
		f.required(addresses, "must contain at least 1 address")
	case len(e.Addresses) > maxEndpointAddresses:
		f.add(field.TooMany(addresses, len(e.Addresses), maxEndpointAddresses))
	}
	for i, address := range e.Addresses {
		f.sliceAddress(address, kind, addresses.Index(i))
	}
	if e.NodeName != nil {
		f.subdomain(at.Child("nodeName"), *e.NodeName)
	}
	if e.Hostname != nil {
		f.label(at.Child("hostname"), *e.Hostname)
	}
	if e.Hints != nil {
		f.zoneHints(e.Hints.ForZones, at.Child("hints", "forZones"))
	}
}

func (f *faults) sliceAddress(address string, kind discoveryv1.AddressType, at *field.Path) {
	ip, err := netip.ParseAddr(address)
	switch kind {
	case discoveryv1.AddressTypeFQDN:
		f.add(validation.IsFullyQualifiedDomainName(at, address)...)
	case discoveryv1.AddressTypeIPv4:
		if err != nil || !ip.Is4() {
			f.invalid(at, address, "must be a valid IPv4 address")
		}
		f.reachable(address, at)
	case discoveryv1.AddressTypeIPv6:
		if err != nil || !ip.Is6() {
			f.invalid(at, address, "must be a valid IPv6 address")
		}
		f.reachable(address, at)
	}
}

func (f *faults) zoneHints(zones []discoveryv1.ForZone, at *field.Path) {
	if len(zones) > maxZoneHints {
		f.add(field.TooMany(at, len(zones), maxZoneHints))
		return
	}
	names := seen[string]{}
	for i, zone := range zones {
		if at := at.Index(i).Child("name"); names.again(zone.Name) {
			f.duplicate(at, zone.Name)
		} else {
			f.messages(at, zone.Name, validation.IsValidLabelValue(zone.Name))
		}
	}
}

func (f *faults) slicePorts(ports []discoveryv1.EndpointPort, at *field.Path) {
	if len(ports) > maxEndpointPorts {
		f.add(field.TooMany(at, len(ports), maxEndpointPorts))
		return
	}
	names := seen[string]{}
	for i, port := range ports {
		at, name := at.Index(i), valueOf(port.Name)
		if name != "" {
			f.label(at.Child("name"), name)
		}
		if names.again(name) {
			f.duplicate(at.Child("name"), name)
		}
		f.endpointProtocol(port.Protocol, port.AppProtocol, at)
	}
}
