package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
)

// Limits of resolvers.
const (
	maxNameservers     = 3
	maxSearchPaths     = 32
	maxSearchListChars = 2048
)

// clusterOptions are those of pods that ask the cluster's servers: names with up
// to four dots are searched first.
var clusterOptions = []string{"ndots:5"}

// dns is the resolv.conf of a pod, by its policy.
func (a *Agent) dns(object *corev1.Pod) (DNS, error) {
	files := resolvConfs{machine: a.Settings.ResolvConf}
	if files.machine == "" {
		files = machineResolvConfs
	}
	machine, err := files.read()
	if err != nil {
		return DNS{}, fmt.Errorf("read the machine's resolver configuration: %w", err)
	}
	config, complaints := formDNS(object, dnsSettings{
		machine: machine, servers: a.Settings.ClusterDNS, domain: a.Settings.ClusterDomain,
	})
	for _, complaint := range complaints {
		a.tell(object, "", complaint)
	}
	return config, nil
}

// resolvConfs are the files that say which servers the machine asks. Where that is
// one on its own loopback, which no pod can reach, the file behind says whom that one
// asks.
type resolvConfs struct{ machine, behind string }

// machineResolvConfs are those of a machine with or without systemd-resolved.
var machineResolvConfs = resolvConfs{machine: "/etc/resolv.conf", behind: "/run/systemd/resolve/resolv.conf"}

func (f resolvConfs) read() (DNS, error) {
	text, err := os.ReadFile(f.machine)
	if err != nil {
		return DNS{}, err
	}
	config := parseResolvConf(string(text))
	remote := func(server string) bool { ip := net.ParseIP(server); return ip == nil || !ip.IsLoopback() }
	if f.behind == "" || len(config.Servers) == 0 || slices.ContainsFunc(config.Servers, remote) {
		return config, nil
	}
	text, err = os.ReadFile(f.behind)
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	return parseResolvConf(string(text)), err
}

// dnsSettings are what the DNS of pods is made of: the machine's, and the servers
// and the domain of the cluster.
type dnsSettings struct {
	machine DNS
	servers []string
	domain  string
}

// formDNS forms the DNS of a pod, and says what is wrong with it. Where the cluster
// has no servers that is not worth telling of each pod: it is how it was set up.
func formDNS(object *corev1.Pod, s dnsSettings) (DNS, []event) {
	config := s.machine
	switch {
	case object.Spec.DNSPolicy == corev1.DNSNone:
		config = DNS{}
	case asksCluster(object) && len(s.servers) > 0:
		config.Servers, config.Options = s.servers, clusterOptions
		if s.domain != "" {
			config.Searches = unique([]string{object.Namespace + ".svc." + s.domain, "svc." + s.domain, s.domain}, config.Searches)
		}
	}
	if own := object.Spec.DNSConfig; own != nil {
		config.Servers = unique(config.Servers, own.Nameservers)
		config.Searches = unique(config.Searches, own.Searches)
		config.Options = mergeOptions(config.Options, own.Options)
	}
	return limitDNS(config)
}

// asksCluster tells whether a pod wants the cluster's servers.
func asksCluster(object *corev1.Pod) bool {
	switch object.Spec.DNSPolicy {
	case corev1.DNSDefault:
		return false
	case corev1.DNSClusterFirstWithHostNet:
		return true
	}
	return !object.Spec.HostNetwork
}

// unique joins lists; of equal words the first stays.
func unique(lists ...[]string) []string {
	var out []string
	for _, word := range slices.Concat(lists...) {
		if !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// mergeOptions adds the options of a pod, which take the place of others of the
// same name.
func mergeOptions(options []string, own []corev1.PodDNSConfigOption) []string {
	out := slices.Clone(options)
	for _, option := range own {
		text := option.Name
		if value := ptr.Deref(option.Value, ""); value != "" {
			text += ":" + value
		}
		out = withOption(out, text)
	}
	return out
}

// withOption replaces the option of the same name, or adds one.
func withOption(options []string, text string) []string {
	name, _, _ := strings.Cut(text, ":")
	i := slices.IndexFunc(options, func(o string) bool { other, _, _ := strings.Cut(o, ":"); return other == name })
	if i < 0 {
		return append(options, text)
	}
	options[i] = text
	return options
}

// limitDNS cuts what resolvers would not take.
func limitDNS(config DNS) (DNS, []event) {
	var exceeded []event
	if len(config.Servers) > maxNameservers {
		config.Servers = config.Servers[:maxNameservers]
		exceeded = append(exceeded, warning("DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "+
			strings.Join(config.Servers, " ")))
	}
	searches := config.Searches[:min(len(config.Searches), maxSearchPaths)]
	searches = slices.DeleteFunc(slices.Clone(searches), func(s string) bool { return len(s) > validation.DNS1123SubdomainMaxLength })
	for len(strings.Join(searches, " ")) > maxSearchListChars {
		searches = searches[:len(searches)-1]
	}
	if len(searches) < len(config.Searches) {
		exceeded = append(exceeded, warning("DNSConfigForming", "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: "+
			strings.Join(searches, " ")))
	}
	config.Searches = searches
	return config, exceeded
}

// parseResolvConf reads a resolv.conf: servers add up, the last search counts, and
// of options with the same name the last.
func parseResolvConf(text string) DNS {
	var config DNS
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			config.Servers = append(config.Servers, words[1])
		case "search":
			config.Searches = nil
			for _, domain := range words[1:] {
				if domain != "." {
					config.Searches = append(config.Searches, strings.TrimSuffix(domain, "."))
				}
			}
		case "options":
			for _, option := range words[1:] {
				config.Options = withOption(config.Options, option)
			}
		}
	}
	return config
}
