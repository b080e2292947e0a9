package render

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/garrison-project/garrison/internal/core/place"
)

// Reason says in a clause what stands between a pod and a node.
func Reason(r place.Reason) string {
	switch r := r.(type) {
	case place.NodeUnschedulable:
		return "the node is cordoned"
	case place.NodeNameMismatch:
		return fmt.Sprintf("the pod asks for node %s by name", r.Wanted)
	case place.UntoleratedTaint:
		return fmt.Sprintf("taint %s is not tolerated", taint(r))
	case place.NodeSelectorMismatch:
		return fmt.Sprintf("node selector wants %s=%s, %s", r.Key, r.Wanted, has(r.Key, r.Got))
	case place.NodeAffinityMismatch:
		return "node affinity wants " + alternatives(r)
	case place.PortConflict:
		return fmt.Sprintf("host port %s is taken by pod %s", hostPort(r.Port), r.Pod)
	case place.InsufficientResource:
		return fmt.Sprintf("%s: requested %s, free %s of %s", r.Name, amount(r.Name, r.Requested),
			amount(r.Name, max(0, r.Allocatable-r.Used)), amount(r.Name, r.Allocatable))
	case place.TooManyPods:
		return fmt.Sprintf("the node has %d pods and can take %d", r.Used, r.Allowed)
	default:
		return company(r)
	}
}

// company is Reason for what hangs on other pods.
func company(r place.Reason) string {
	switch r := r.(type) {
	case place.PodAffinityMismatch:
		if !r.Topology.Present {
			return fmt.Sprintf("pod affinity goes by %s, %s", r.TopologyKey, has(r.TopologyKey, r.Topology))
		}
		return fmt.Sprintf("pod affinity wants %s in %s=%s, there is none", podTerm(r.PodTerm), r.TopologyKey, r.Topology.Value)
	case place.PodAntiAffinityConflict:
		return fmt.Sprintf("pod anti-affinity wants no %s in %s=%s, there is %s", podTerm(r.PodTerm), r.TopologyKey, r.Topology.Value, r.Pod)
	case place.ExistingAntiAffinityConflict:
		return fmt.Sprintf("pod %s does not want this one in %s=%s", r.Pod, r.TopologyKey, r.Topology.Value)
	case place.SpreadLabelMissing:
		return fmt.Sprintf("topology spread goes by %s, %s", r.TopologyKey, has(r.TopologyKey, place.Label{}))
	case place.SpreadViolation:
		return fmt.Sprintf("topology spread: %s=%s would have %d pods with %s, another has %d, and they may differ by %d",
			r.TopologyKey, r.Topology.Value, r.There, r.Selector, r.Least, r.MaxSkew)
	case place.InvalidPodTerm:
		kind := "affinity"
		if r.Anti {
			kind = "anti-affinity"
		}
		return fmt.Sprintf("pod %s term %d is unreadable: %s", kind, r.Index, r.Problem)
	case place.OnePerDomain:
		return fmt.Sprintf("one per %s: in %s it is on node %s", r.TopologyKey, r.Topology.Value, r.Node)
	case place.OneDomain:
		return fmt.Sprintf("all in one %s: it is in %s", r.TopologyKey, r.Chosen)
	default:
		panic(fmt.Sprintf("no text for reason %T", r))
	}
}

// podTerm describes the pods that a term selects, as in "a pod with app=db in
// namespace prod".
func podTerm(t place.PodTerm) string {
	pods := "pod with " + t.Selector
	switch t.Selector {
	case "*":
		pods = "pod"
	case "-":
		pods = "pod (the selector selects none)"
	}
	var in []string
	if len(t.Namespaces) > 0 {
		in = append(in, "in namespace "+strings.Join(t.Namespaces, ", "))
	}
	switch t.NamespaceSelector {
	case "", "-":
	case "*":
		in = append(in, "in any namespace")
	default:
		in = append(in, "in a namespace with "+t.NamespaceSelector)
	}
	return pods + " " + strings.Join(in, " or ")
}

// Remedy says what would make a reason go away.
func Remedy(r place.Reason) string {
	switch r := r.(type) {
	case place.NodeUnschedulable:
		return "uncordon the node, or tolerate " + corev1.TaintNodeUnschedulable
	case place.NodeNameMismatch:
		return "remove nodeName from the pod"
	case place.UntoleratedTaint:
		return "tolerate the taint, or remove it from the node"
	case place.NodeSelectorMismatch:
		return fmt.Sprintf("label the node %s=%s, or drop %s from the node selector", r.Key, r.Wanted, r.Key)
	case place.NodeAffinityMismatch:
		return "change the labels of the node, or the required node affinity"
	case place.PortConflict:
		return "use another host port, or remove the pod that has it"
	case place.InsufficientResource:
		if !r.Preemptable() {
			return fmt.Sprintf("request less: even the empty node has only %s", amount(r.Name, r.Allocatable))
		}
		return fmt.Sprintf("request less, or free %s", amount(r.Name, r.Requested+r.Used-r.Allocatable))
	case place.TooManyPods:
		return "remove a pod from the node"
	default:
		return companyRemedy(r)
	}
}

// companyRemedy is Remedy for what hangs on other pods.
func companyRemedy(r place.Reason) string {
	switch r := r.(type) {
	case place.SpreadLabelMissing:
		return fmt.Sprintf("label the node with %s", r.TopologyKey)
	case place.SpreadViolation:
		return "raise maxSkew, or make room in the other domains"
	case place.PodAffinityMismatch:
		if !r.Topology.Present {
			return fmt.Sprintf("label the node with %s", r.TopologyKey)
		}
		return "run such a pod there, or change the pod affinity"
	case place.PodAntiAffinityConflict:
		return "move that pod away, or change the pod anti-affinity"
	case place.ExistingAntiAffinityConflict:
		return "move that pod away, or change its anti-affinity"
	case place.InvalidPodTerm:
		return "correct the term"
	case place.OnePerDomain, place.OneDomain:
		return "change the pod affinity to itself"
	default:
		panic(fmt.Sprintf("no remedy for reason %T", r))
	}
}

func taint(t place.UntoleratedTaint) string {
	return (&corev1.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect}).ToString()
}

func has(key string, got place.Label) string {
	if !got.Present {
		return fmt.Sprintf("the node has no label %s", key)
	}
	return fmt.Sprintf("the node has %s=%s", key, got.Value)
}

// alternatives lists what each term still lacks, as in "disk in (ssd) (the node
// has disk=hdd), or zone exists (…)".
func alternatives(r place.NodeAffinityMismatch) string {
	if len(r.Terms) == 0 {
		return "none of the nodes: it has no terms"
	}
	var terms []string
	for _, term := range r.Terms {
		if term.Invalid != "" {
			terms = append(terms, "(unreadable: "+term.Invalid+")")
			continue
		}
		var wants []string
		for _, f := range term.Failed {
			wants = append(wants, requirement(f))
		}
		terms = append(terms, strings.Join(wants, " and "))
	}
	return strings.Join(terms, ", or ")
}

func requirement(f place.RequirementMismatch) string {
	values := strings.Join(f.Values, ", ")
	got := has(f.Key, f.Got)
	if f.Field {
		got = "the node is " + f.Got.Value
	}
	switch f.Operator {
	case corev1.NodeSelectorOpIn:
		return fmt.Sprintf("%s in (%s) (%s)", f.Key, values, got)
	case corev1.NodeSelectorOpNotIn:
		return fmt.Sprintf("%s not in (%s) (%s)", f.Key, values, got)
	case corev1.NodeSelectorOpExists:
		return fmt.Sprintf("label %s", f.Key)
	case corev1.NodeSelectorOpDoesNotExist:
		return fmt.Sprintf("no label %s (%s)", f.Key, got)
	case corev1.NodeSelectorOpGt:
		return fmt.Sprintf("%s > %s (%s)", f.Key, values, got)
	default:
		return fmt.Sprintf("%s < %s (%s)", f.Key, values, got)
	}
}

func hostPort(p place.HostPort) string {
	return fmt.Sprintf("%s:%d/%s", p.IP, p.Port, p.Protocol)
}

// amount prints milli-units of cpu, bytes, or a count, as Kubernetes does.
func amount(name corev1.ResourceName, v int64) string {
	switch name {
	case corev1.ResourceCPU:
		return resource.NewMilliQuantity(v, resource.DecimalSI).String()
	case corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return resource.NewQuantity(v, resource.BinarySI).String()
	default:
		return resource.NewQuantity(v, resource.DecimalSI).String()
	}
}

// Unschedulable says why a pod fits on no node, in the words of Kubernetes'
// scheduler, which people and tools look for in events and conditions: each
// node counts once, with what its first failing filter says.
func Unschedulable(d place.Decision) string {
	if d.Nodes == 0 {
		return "no nodes available to schedule pods"
	}
	counts := refusals(d.Refusals)
	if others := d.Nodes - len(d.Refusals); others > 0 {
		counts["node(s) didn't satisfy plugin(s) [NodeAffinity]"] = others
	}
	return available(d.Nodes, counts)
}

// Preemption says why preemption makes no room either, in the words of
// Kubernetes' scheduler, or nothing if it does.
func Preemption(p place.Preemption) string {
	switch {
	case p.Never:
		return "preemption: not eligible due to preemptionPolicy=Never."
	case p.Node != "" && len(p.Victims) == 0:
		return "preemption: not eligible due to a terminating pod on the nominated node."
	case p.Node != "" || p.Nodes == 0:
		return ""
	}
	counts := refusals(p.Still)
	for text, n := range map[string]int{
		"No preemption victims found for incoming pod": p.Victimless,
		"Preemption is not helpful for scheduling":     p.Unhelpful,
	} {
		if n > 0 {
			counts[text] = n
		}
	}
	return "preemption: " + available(p.Nodes, counts)
}

// refusals counts the nodes by what their first failing filter says.
func refusals(all []place.Refusal) map[string]int {
	counts := map[string]int{}
	for _, refusal := range all {
		for _, text := range firstFilter(refusal.Reasons) {
			counts[text]++
		}
	}
	return counts
}

// available says of all nodes why they are not.
func available(nodes int, counts map[string]int) string {
	return fmt.Sprintf("0/%d nodes are available: %s.", nodes, histogram(counts))
}

// firstFilter returns the texts of the first filter: one for each resource that
// is short, of other filters only the first.
func firstFilter(reasons []place.Reason) []string {
	var texts []string
	for _, r := range reasons {
		if len(texts) > 0 && (r.Filter() != place.ResourceFilter || reasons[0].Filter() != place.ResourceFilter) {
			break
		}
		texts = append(texts, schedulerText(r))
	}
	return texts
}

func histogram(counts map[string]int) string {
	var items []string
	for text, n := range counts {
		items = append(items, fmt.Sprintf("%d %s", n, text))
	}
	// By the whole item, so that 10 stands before 9, as in Kubernetes.
	slices.Sort(items)
	return strings.Join(items, ", ")
}

// schedulerText is what Kubernetes' scheduler says of a reason.
func schedulerText(r place.Reason) string {
	switch r := r.(type) {
	case place.NodeUnschedulable:
		return "node(s) were unschedulable"
	case place.NodeNameMismatch:
		return "node(s) didn't match the requested node name"
	case place.UntoleratedTaint:
		return "node(s) had untolerated taint(s)"
	case place.NodeSelectorMismatch, place.NodeAffinityMismatch:
		return "node(s) didn't match Pod's node affinity/selector"
	case place.PortConflict:
		return "node(s) didn't have free ports for the requested pod ports"
	case place.InsufficientResource:
		return fmt.Sprintf("Insufficient %s", r.Name)
	case place.TooManyPods:
		return "Too many pods"
	case place.SpreadLabelMissing:
		return "node(s) didn't match pod topology spread constraints (missing required label)"
	case place.SpreadViolation:
		return "node(s) didn't match pod topology spread constraints"
	case place.PodAffinityMismatch, place.InvalidPodTerm, place.OneDomain:
		return "node(s) didn't match pod affinity rules"
	case place.PodAntiAffinityConflict, place.OnePerDomain:
		return "node(s) didn't match pod anti-affinity rules"
	case place.ExistingAntiAffinityConflict:
		return "node(s) didn't satisfy existing pods anti-affinity rules"
	default:
		panic(fmt.Sprintf("no text for reason %T", r))
	}
}
