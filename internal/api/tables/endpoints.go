package tables

//lint:file-ignore SA1019 Endpoints are deprecated, but clients still keep them.

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// shownEndpoints is how many addresses or ports a cell shows.
const shownEndpoints = 3

var endpoints = table[*corev1.Endpoints]{
	head: head(name(), text("Endpoints", corev1.Endpoints{}.SwaggerDoc()["subsets"]), age()),
	cells: func(e *corev1.Endpoints, now at) []any {
		return []any{e.Name, endpointList(e), now.age(e.CreationTimestamp)}
	},
}

var sliceDoc = discoveryv1.EndpointSlice{}.SwaggerDoc()

var endpointSlices = table[*discoveryv1.EndpointSlice]{
	head: head(name(), text("AddressType", sliceDoc["addressType"]), text("Ports", sliceDoc["ports"]), text("Endpoints", sliceDoc["endpoints"]), age()),
	cells: func(s *discoveryv1.EndpointSlice, now at) []any {
		var ports, addresses []string
		for _, p := range s.Ports {
			switch {
			case p.Port != nil:
				ports = append(ports, strconv.Itoa(int(*p.Port)))
			case ptr.Deref(p.Name, "") != "":
				ports = append(ports, *p.Name)
			default:
				ports = append(ports, "*")
			}
		}
		for _, e := range s.Endpoints {
			addresses = append(addresses, e.Addresses...)
		}
		return []any{s.Name, string(s.AddressType), few(ports, unset), few(addresses, unset), now.age(s.CreationTimestamp)}
	},
}

// endpointList has the ready addresses with each port.
func endpointList(e *corev1.Endpoints) string {
	var out []string
	for _, subset := range e.Subsets {
		for _, a := range subset.Addresses {
			if len(subset.Ports) == 0 {
				out = append(out, a.IP)
			}
		}
		for _, p := range subset.Ports {
			for _, a := range subset.Addresses {
				out = append(out, net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
			}
		}
	}
	return few(out, none)
}

// few lists the first few, and says how many more there are.
func few(list []string, empty string) string {
	switch {
	case len(list) == 0:
		return empty
	case len(list) > shownEndpoints:
		return fmt.Sprintf("%s + %d more...", strings.Join(list[:shownEndpoints], ","), len(list)-shownEndpoints)
	}
	return strings.Join(list, ",")
}
