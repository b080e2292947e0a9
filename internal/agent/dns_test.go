package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var machineDNS = parseResolvConf(`# made by hand
domain ignored.example
nameserver 192.0.2.53
search old.example
search corp.example. . svc.cluster.local
options timeout:1 attempts:2
options timeout:3
nameserver
`)

func TestParseResolvConf(t *testing.T) {
	want := DNS{
		Servers:  []string{"192.0.2.53"},
		Searches: []string{"corp.example", "svc.cluster.local"},
		Options:  []string{"timeout:3", "attempts:2"},
	}
	if !reflect.DeepEqual(machineDNS, want) {
		t.Errorf("got %+v, want %+v", machineDNS, want)
	}
}

// A resolver on the machine's loopback is of no use to pods: what it asks itself is.
func TestMachineDNS(t *testing.T) {
	local := "nameserver 127.0.0.53\nnameserver ::1\nsearch local.example\n"
	for name, c := range map[string]struct{ machine, behind, want string }{
		"usual":          {"nameserver 192.0.2.53\n", "nameserver 192.0.2.54\n", "192.0.2.53"},
		"mixed":          {local + "nameserver 192.0.2.53\n", "nameserver 192.0.2.54\n", "127.0.0.53 ::1 192.0.2.53"},
		"local resolver": {local, "nameserver 192.0.2.54\n", "192.0.2.54"},
		"unknown":        {local, "", "127.0.0.53 ::1"},
		"none":           {"", "nameserver 192.0.2.54\n", ""},
	} {
		root := t.TempDir()
		write := func(path, text string) string {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			return path
		}
		files := resolvConfs{machine: write("etc/resolv.conf", c.machine), behind: filepath.Join(root, "run/resolv.conf")}
		if c.behind != "" {
			write("run/resolv.conf", c.behind)
		}
		got, err := files.read()
		if err != nil || strings.Join(got.Servers, " ") != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestFormDNS(t *testing.T) {
	cluster := dnsSettings{machine: machineDNS, servers: []string{"10.0.0.10"}, domain: "cluster.local"}
	cluster10 := DNS{
		Servers:  []string{"10.0.0.10"},
		Searches: []string{"ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"},
		Options:  []string{"ndots:5"},
	}
	config := &corev1.PodDNSConfig{
		Nameservers: []string{"10.0.0.10", "1.2.3.4"}, Searches: []string{"corp.example", "own.example"},
		Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("2")}, {Name: "edns0"}},
	}
	for name, c := range map[string]struct {
		spec     corev1.PodSpec
		settings dnsSettings
		want     DNS
		told     string
	}{
		"cluster first":                 {corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst}, cluster, cluster10, ""},
		"on the host's network":         {corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, HostNetwork: true}, cluster, machineDNS, ""},
		"there, too, if it says so":     {corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirstWithHostNet, HostNetwork: true}, cluster, cluster10, ""},
		"the machine's":                 {corev1.PodSpec{DNSPolicy: corev1.DNSDefault}, cluster, machineDNS, ""},
		"none":                          {corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: config}, cluster, DNS{config.Nameservers, config.Searches, []string{"ndots:2", "edns0"}}, ""},
		"without servers":               {corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst}, dnsSettings{machine: machineDNS, domain: "cluster.local"}, machineDNS, ""},
		"with configuration of its own": {corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, DNSConfig: config}, cluster, DNS{[]string{"10.0.0.10", "1.2.3.4"}, append(cluster10.Searches[:4:4], "own.example"), []string{"ndots:2", "edns0"}}, ""},
		"too many servers":              {corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"}}}, cluster, DNS{Servers: []string{"1.1.1.1", "1.1.1.2", "1.1.1.3"}}, "DNSConfigForming"},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", UID: "uid"}, Spec: c.spec}
		got, complaints := formDNS(pod, c.settings)
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		told := ""
		for _, e := range complaints {
			told += e.reason
		}
		if told != c.told {
			t.Errorf("%s: told %q, want %q", name, told, c.told)
		}
	}
	if fmt.Sprint(clusterOptions) != "[ndots:5]" || machineDNS.Options[0] != "timeout:3" {
		t.Error("what is shared was changed")
	}
}

func TestSearchLimits(t *testing.T) {
	long := strings.Repeat("a.", 100) + "example"
	var searches []string
	for i := range 40 {
		searches = append(searches, fmt.Sprintf("%d.%s", i, long))
	}
	got, complaints := limitDNS(DNS{Searches: append([]string{strings.Repeat("a", 254)}, searches...)})
	if want := searches[:9]; !reflect.DeepEqual(got.Searches, want) {
		t.Errorf("%d search paths, want %d", len(got.Searches), len(want))
	}
	if len(complaints) != 1 || !strings.HasPrefix(complaints[0].message, "Search Line limits were exceeded") {
		t.Errorf("told %v", complaints)
	}
}

func TestHostname(t *testing.T) {
	long := strings.Repeat("a", 62) + ".b"
	a := &Agent{Options: Options{Settings: Settings{Hostname: "machine", ClusterDomain: "cluster.local"}}}
	for name, c := range map[string]struct {
		pod  string
		spec corev1.PodSpec
		want host
		err  string
	}{
		"its name":          {"pod", corev1.PodSpec{}, host{"pod", ""}, ""},
		"a long one is cut": {long, corev1.PodSpec{}, host{long[:62], ""}, ""},
		"of its own":        {"pod", corev1.PodSpec{Hostname: "own", Subdomain: "sub"}, host{"own", "sub.ns.svc.cluster.local"}, ""},
		"with its domain":   {"pod", corev1.PodSpec{Subdomain: "sub", SetHostnameAsFQDN: ptr.To(true)}, host{"pod.sub.ns.svc.cluster.local", "sub.ns.svc.cluster.local"}, ""},
		"which is too long": {long[:50], corev1.PodSpec{Subdomain: "sub", SetHostnameAsFQDN: ptr.To(true)}, host{}, "is too long (64 characters is the max, 75 characters requested)"},
		"the machine's":     {"pod", corev1.PodSpec{HostNetwork: true, Hostname: "own"}, host{"machine", ""}, ""},
		"overridden":        {"pod", corev1.PodSpec{HostnameOverride: ptr.To("other"), Hostname: "own", Subdomain: "sub"}, host{"other", ""}, ""},
	} {
		got, err := a.hostname(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: c.pod}, Spec: c.spec})
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", name, err, c.err)
		}
	}
}
