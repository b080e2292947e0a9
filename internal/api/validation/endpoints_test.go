package validation

//lint:file-ignore SA1019 Endpoints are deprecated, but clients still keep them.

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// verdict is what is said of an object, a line for each fault.
func verdictOn[T any](t *testing.T, text string, of func(*T) []string) string {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), object); err != nil {
		t.Fatal(err)
	}
	return strings.Join(of(object), "\n")
}

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]string{
		`{subsets: [{addresses: [{ip: 10.0.0.1, hostname: a, nodeName: n}], ports: [{port: 80, protocol: TCP}]}]}`: "",
		`{subsets: [{}]}`: "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
		`{subsets: [{addresses: [{ip: 127.0.0.1}]}]}`:           "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
		`{subsets: [{addresses: [{ip: "::"}]}]}`:                "subsets[0].addresses[0].ip: Invalid value: \"::\": may not be unspecified (0.0.0.0 or ::)",
		`{subsets: [{notReadyAddresses: [{ip: 169.254.1.1}]}]}`: "subsets[0].notReadyAddresses[0].ip: Invalid value: \"169.254.1.1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)",
		`{subsets: [{addresses: [{ip: 224.0.0.1}]}]}`:           "subsets[0].addresses[0].ip: Invalid value: \"224.0.0.1\": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
		`{subsets: [{addresses: [{ip: host}]}]}`:                "subsets[0].addresses[0].ip: Invalid value: \"host\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
		`{subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{name: a, port: 80, protocol: TCP}, {port: 81, protocol: TCP}]}]}`: "subsets[0].ports[1].name: Required value",
		`{subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 0, protocol: SNA}]}]}`: "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive\n" +
			"subsets[0].ports[0].protocol: Unsupported value: \"SNA\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
	} {
		got := verdictOn(t, text, func(e *corev1.Endpoints) []string {
			e.ObjectMeta = metav1.ObjectMeta{Namespace: "ns", Name: "e"}
			return faultsOf(Endpoints(e).ToAggregate())
		})
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", text, got, want)
		}
	}
}

func TestEndpointSlice(t *testing.T) {
	for text, want := range map[string]string{
		`{addressType: IPv4, endpoints: [{addresses: [10.0.0.1], hostname: a, nodeName: n, hints: {forZones: [{name: z}]}}], ports: [{name: "", port: 80, protocol: TCP}]}`: "",
		`{addressType: FQDN, endpoints: [{addresses: [host.example.org]}]}`:                                                                                                 "",
		`{}`:                                   "addressType: Required value",
		`{addressType: IPX}`:                   "addressType: Unsupported value: \"IPX\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"",
		`{addressType: IPv4, endpoints: [{}]}`: "endpoints[0].addresses: Required value: must contain at least 1 address",
		`{addressType: IPv4, endpoints: [{addresses: ["fd00::1"]}]}`:                                           "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be a valid IPv4 address",
		`{addressType: IPv6, endpoints: [{addresses: ["::1"]}]}`:                                               "endpoints[0].addresses[0]: Invalid value: \"::1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
		`{addressType: IPv4, endpoints: [{addresses: [10.0.0.1], hints: {forZones: [{name: z}, {name: z}]}}]}`: "endpoints[0].hints.forZones[1].name: Duplicate value: \"z\"",
		`{addressType: IPv4, ports: [{name: a, protocol: TCP}, {name: a}]}`:                                    "ports[1].name: Duplicate value: \"a\"\nports[1].protocol: Required value",
	} {
		got := verdictOn(t, text, func(s *discoveryv1.EndpointSlice) []string {
			s.ObjectMeta = metav1.ObjectMeta{Namespace: "ns", Name: "s"}
			return faultsOf(EndpointSlice(s).ToAggregate())
		})
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", text, got, want)
		}
	}
	full := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s", ResourceVersion: "1"}, AddressType: "IPv4"}
	full.Endpoints = slices.Repeat([]discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Hostname: ptr.To("a")}}, 1001)
	if got := EndpointSlice(full).ToAggregate(); got == nil || got.Error() != "endpoints: Too many: 1001: must have at most 1000 items" {
		t.Errorf("got %v", got)
	}
	changed := full.DeepCopy()
	changed.Endpoints, changed.AddressType = nil, "IPv6"
	if got := EndpointSliceUpdate(changed, full).ToAggregate(); got == nil || !strings.Contains(got.Error(), "addressType: Invalid value: \"IPv6\": field is immutable") {
		t.Errorf("got %v", got)
	}
}

// faultsOf lists errors one by one.
func faultsOf(err interface{ Errors() []error }) []string {
	if err == nil {
		return nil
	}
	var out []string
	for _, e := range err.Errors() {
		out = append(out, e.Error())
	}
	return out
}
