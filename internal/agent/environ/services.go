package environ

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// apiService is the service that every pod is told of, whatever its namespace.
const apiService = "kubernetes"

// serviceVariables tells a pod where the services are: default/kubernetes always,
// those of its own namespace if it wants links. A service of the pod's namespace
// yields to default/kubernetes if it has its name.
func serviceVariables(pod *corev1.Pod, services []*corev1.Service) []agent.EnvVar {
	links := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	chosen := map[string]*corev1.Service{}
	for _, s := range services {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
			continue
		}
		isAPI := s.Namespace == metav1.NamespaceDefault && s.Name == apiService
		if isAPI || (links && s.Namespace == pod.Namespace && (s.Name != apiService || chosen[apiService] == nil)) {
			chosen[s.Name] = s
		}
	}
	var names []string
	for name := range chosen {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []agent.EnvVar
	for _, name := range names {
		out = append(out, variablesOf(chosen[name])...)
	}
	return out
}

func variablesOf(s *corev1.Service) []agent.EnvVar {
	prefix, ip := variableName(s.Name), s.Spec.ClusterIP
	var out []agent.EnvVar
	add := func(name, value string) { out = append(out, agent.EnvVar{Name: name, Value: value}) }

	add(prefix+"_SERVICE_HOST", ip)
	add(prefix+"_SERVICE_PORT", port(&s.Spec.Ports[0]))
	for i := range s.Spec.Ports {
		if p := &s.Spec.Ports[i]; p.Name != "" {
			add(prefix+"_SERVICE_PORT_"+variableName(p.Name), port(p))
		}
	}
	// What follows is what Docker's links once set; programs still read it.
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		protocol := p.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		lower := strings.ToLower(string(protocol))
		url := lower + "://" + net.JoinHostPort(ip, port(p))
		if i == 0 {
			add(prefix+"_PORT", url)
		}
		link := fmt.Sprintf("%s_PORT_%d_%s", prefix, p.Port, protocol)
		add(link, url)
		add(link+"_PROTO", lower)
		add(link+"_PORT", port(p))
		add(link+"_ADDR", ip)
	}
	return out
}

func port(p *corev1.ServicePort) string { return strconv.Itoa(int(p.Port)) }

func variableName(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }
