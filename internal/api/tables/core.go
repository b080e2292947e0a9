package tables

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

var namespaces = table[*corev1.Namespace]{
	head: head(name(), text("Status", "The status of the namespace"), age()),
	cells: func(n *corev1.Namespace, now at) []any {
		return []any{n.Name, string(n.Status.Phase), now.age(n.CreationTimestamp)}
	},
}

var configMaps = table[*corev1.ConfigMap]{
	head: head(name(), text("Data", corev1.ConfigMap{}.SwaggerDoc()["data"]), age()),
	cells: func(c *corev1.ConfigMap, now at) []any {
		return []any{c.Name, int64(len(c.Data) + len(c.BinaryData)), now.age(c.CreationTimestamp)}
	},
}

var secrets = table[*corev1.Secret]{
	head: head(name(), text("Type", corev1.Secret{}.SwaggerDoc()["type"]), text("Data", corev1.Secret{}.SwaggerDoc()["data"]), age()),
	cells: func(s *corev1.Secret, now at) []any {
		return []any{s.Name, string(s.Type), int64(len(s.Data)), now.age(s.CreationTimestamp)}
	},
}

var serviceAccounts = table[*corev1.ServiceAccount]{
	head: head(name(), text("Secrets", corev1.ServiceAccount{}.SwaggerDoc()["secrets"]), age()),
	cells: func(s *corev1.ServiceAccount, now at) []any {
		return []any{s.Name, int64(len(s.Secrets)), now.age(s.CreationTimestamp)}
	},
}

var serviceDoc = corev1.ServiceSpec{}.SwaggerDoc()

var services = table[*corev1.Service]{
	head: head(name(),
		text("Type", serviceDoc["type"]),
		text("Cluster-IP", serviceDoc["clusterIP"]),
		text("External-IP", serviceDoc["externalIPs"]),
		text("Port(s)", serviceDoc["ports"]),
		age(),
		wide(text("Selector", serviceDoc["selector"]))),
	cells: func(s *corev1.Service, now at) []any {
		ip := none
		if len(s.Spec.ClusterIPs) > 0 {
			ip = s.Spec.ClusterIPs[0]
		}
		return []any{s.Name, string(s.Spec.Type), ip, externalIP(s), or(servicePorts(s), none),
			now.age(s.CreationTimestamp), labels.FormatLabels(s.Spec.Selector)}
	},
}

func externalIP(s *corev1.Service) string {
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return or(strings.Join(s.Spec.ExternalIPs, ","), none)
	case corev1.ServiceTypeLoadBalancer:
		var ips []string
		for _, in := range s.Status.LoadBalancer.Ingress {
			ips = append(ips, or(in.IP, in.Hostname))
		}
		return or(strings.Join(append(ips, s.Spec.ExternalIPs...), ","), "<pending>")
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	}
	return unknown
}

func servicePorts(s *corev1.Service) string {
	out := make([]string, len(s.Spec.Ports))
	for i, p := range s.Spec.Ports {
		out[i] = fmt.Sprintf("%d/%s", p.Port, p.Protocol)
		if p.NodePort > 0 {
			out[i] = fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, p.Protocol)
		}
	}
	return strings.Join(out, ",")
}

var resourceQuotas = table[*corev1.ResourceQuota]{
	head: head(name(),
		text("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
		text("Limit", "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."),
		age()),
	cells: func(q *corev1.ResourceQuota, now at) []any {
		requests, limits := quotaUse(q)
		return []any{q.Name, requests, limits, now.age(q.CreationTimestamp)}
	},
}

// quotaUse shows used and hard amounts, those of limits apart from the rest.
func quotaUse(q *corev1.ResourceQuota) (requests, limits string) {
	names := make([]corev1.ResourceName, 0, len(q.Status.Hard))
	for n := range q.Status.Hard {
		names = append(names, n)
	}
	slices.Sort(names)
	var r, l []string
	for _, n := range names {
		used, hard := q.Status.Used[n], q.Status.Hard[n]
		shown := fmt.Sprintf("%s: %s/%s", n, used.String(), hard.String())
		if strings.HasPrefix(string(n), "limits.") {
			l = append(l, shown)
		} else {
			r = append(r, shown)
		}
	}
	return strings.Join(r, ", "), strings.Join(l, ", ")
}
