package render

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/place"
)

var (
	absent = place.Label{}
	hdd    = place.Label{Value: "hdd", Present: true}
)

// reasonTexts is what is said of each reason.
var reasonTexts = []struct {
	reason                   place.Reason
	text, remedy, kubernetes string
}{
	{
		place.NodeUnschedulable{},
		"the node is cordoned",
		"uncordon the node, or tolerate node.kubernetes.io/unschedulable",
		"node(s) were unschedulable",
	},
	{
		place.NodeNameMismatch{Wanted: "w-1", Got: "w-2"},
		"the pod asks for node w-1 by name",
		"remove nodeName from the pod",
		"node(s) didn't match the requested node name",
	},
	{
		place.UntoleratedTaint{Key: "dedicated", Value: "gpu", Effect: "NoSchedule"},
		"taint dedicated=gpu:NoSchedule is not tolerated",
		"tolerate the taint, or remove it from the node",
		"node(s) had untolerated taint(s)",
	},
	{
		place.NodeSelectorMismatch{Key: "disk", Wanted: "ssd", Got: hdd},
		"node selector wants disk=ssd, the node has disk=hdd",
		"label the node disk=ssd, or drop disk from the node selector",
		"node(s) didn't match Pod's node affinity/selector",
	},
	{
		place.NodeSelectorMismatch{Key: "disk", Wanted: "ssd", Got: absent},
		"node selector wants disk=ssd, the node has no label disk",
		"label the node disk=ssd, or drop disk from the node selector",
		"node(s) didn't match Pod's node affinity/selector",
	},
	{
		place.NodeAffinityMismatch{Terms: []place.TermMismatch{
			{Failed: []place.RequirementMismatch{
				{Key: "disk", Operator: "In", Values: []string{"ssd", "nvme"}, Got: hdd},
				{Key: "zone", Operator: "Exists", Got: absent},
			}},
			{Index: 1, Failed: []place.RequirementMismatch{
				{Field: true, Key: "metadata.name", Operator: "In", Values: []string{"w-1"}, Got: place.Label{Value: "w-2", Present: true}},
			}},
			{Index: 2, Invalid: "unknown operator"},
		}},
		"node affinity wants disk in (ssd, nvme) (the node has disk=hdd) and label zone, or metadata.name in (w-1) (the node is w-2), or (unreadable: unknown operator)",
		"change the labels of the node, or the required node affinity",
		"node(s) didn't match Pod's node affinity/selector",
	},
	{
		place.NodeAffinityMismatch{Terms: []place.TermMismatch{{Failed: []place.RequirementMismatch{
			{Key: "disk", Operator: "NotIn", Values: []string{"hdd"}, Got: hdd},
			{Key: "disk", Operator: "DoesNotExist", Got: hdd},
			{Key: "cpus", Operator: "Gt", Values: []string{"4"}, Got: absent},
			{Key: "cpus", Operator: "Lt", Values: []string{"9"}, Got: absent},
		}}}},
		"node affinity wants disk not in (hdd) (the node has disk=hdd) and no label disk (the node has disk=hdd) and cpus > 4 (the node has no label cpus) and cpus < 9 (the node has no label cpus)",
		"change the labels of the node, or the required node affinity",
		"node(s) didn't match Pod's node affinity/selector",
	},
	{
		place.NodeAffinityMismatch{},
		"node affinity wants none of the nodes: it has no terms",
		"change the labels of the node, or the required node affinity",
		"node(s) didn't match Pod's node affinity/selector",
	},
	{
		place.PortConflict{
			Port: place.HostPort{IP: "0.0.0.0", Protocol: "TCP", Port: 80},
			Pod:  types.NamespacedName{Namespace: "web", Name: "front"},
		},
		"host port 0.0.0.0:80/TCP is taken by pod web/front",
		"use another host port, or remove the pod that has it",
		"node(s) didn't have free ports for the requested pod ports",
	},
	{
		place.InsufficientResource{Name: "cpu", Requested: 1500, Used: 3000, Allocatable: 4000},
		"cpu: requested 1500m, free 1 of 4",
		"request less, or free 500m",
		"Insufficient cpu",
	},
	{
		place.InsufficientResource{Name: "memory", Requested: 3 << 30, Used: 0, Allocatable: 2 << 30},
		"memory: requested 3Gi, free 2Gi of 2Gi",
		"request less: even the empty node has only 2Gi",
		"Insufficient memory",
	},
	{
		place.InsufficientResource{Name: "example.com/gpu", Requested: 2, Used: 5, Allocatable: 4},
		"example.com/gpu: requested 2, free 0 of 4",
		"request less, or free 3",
		"Insufficient example.com/gpu",
	},
	{
		place.TooManyPods{Used: 110, Allowed: 110},
		"the node has 110 pods and can take 110",
		"remove a pod from the node",
		"Too many pods",
	},
	{
		place.PodAffinityMismatch{
			PodTerm:  place.PodTerm{Selector: "app=db", Namespaces: []string{"prod", "test"}, TopologyKey: "zone"},
			Topology: place.Label{Value: "a", Present: true},
		},
		"pod affinity wants pod with app=db in namespace prod, test in zone=a, there is none",
		"run such a pod there, or change the pod affinity",
		"node(s) didn't match pod affinity rules",
	},
	{
		place.PodAffinityMismatch{PodTerm: place.PodTerm{Selector: "app=db", TopologyKey: "zone"}},
		"pod affinity goes by zone, the node has no label zone",
		"label the node with zone",
		"node(s) didn't match pod affinity rules",
	},
	{
		place.PodAntiAffinityConflict{
			PodTerm:  place.PodTerm{Selector: "*", NamespaceSelector: "*", TopologyKey: "zone"},
			Topology: place.Label{Value: "a", Present: true},
			Pod:      types.NamespacedName{Namespace: "prod", Name: "db"},
		},
		"pod anti-affinity wants no pod in any namespace in zone=a, there is prod/db",
		"move that pod away, or change the pod anti-affinity",
		"node(s) didn't match pod anti-affinity rules",
	},
	{
		place.PodAntiAffinityConflict{
			PodTerm:  place.PodTerm{Selector: "-", Namespaces: []string{"x"}, NamespaceSelector: "team=a", TopologyKey: "zone"},
			Topology: place.Label{Value: "a", Present: true},
			Pod:      types.NamespacedName{Namespace: "prod", Name: "db"},
		},
		"pod anti-affinity wants no pod (the selector selects none) in namespace x or in a namespace with team=a in zone=a, there is prod/db",
		"move that pod away, or change the pod anti-affinity",
		"node(s) didn't match pod anti-affinity rules",
	},
	{
		place.ExistingAntiAffinityConflict{
			TopologyKey: "zone", Topology: place.Label{Value: "a", Present: true},
			Pod: types.NamespacedName{Namespace: "prod", Name: "db"},
		},
		"pod prod/db does not want this one in zone=a",
		"move that pod away, or change its anti-affinity",
		"node(s) didn't satisfy existing pods anti-affinity rules",
	},
	{
		place.SpreadLabelMissing{TopologyKey: "zone"},
		"topology spread goes by zone, the node has no label zone",
		"label the node with zone",
		"node(s) didn't match pod topology spread constraints (missing required label)",
	},
	{
		place.SpreadViolation{
			TopologyKey: "zone", Topology: place.Label{Value: "a", Present: true},
			Selector: "app=x", MaxSkew: 1, There: 3, Least: 1,
		},
		"topology spread: zone=a would have 3 pods with app=x, another has 1, and they may differ by 1",
		"raise maxSkew, or make room in the other domains",
		"node(s) didn't match pod topology spread constraints",
	},
	{
		place.InvalidPodTerm{Anti: true, Index: 1, Problem: "unknown operator"},
		"pod anti-affinity term 1 is unreadable: unknown operator",
		"correct the term",
		"node(s) didn't match pod affinity rules",
	},
	{
		place.OnePerDomain{TopologyKey: "zone", Topology: place.Label{Value: "a", Present: true}, Node: "w-1"},
		"one per zone: in a it is on node w-1",
		"change the pod affinity to itself",
		"node(s) didn't match pod anti-affinity rules",
	},
	{
		place.OneDomain{TopologyKey: "zone", Topology: place.Label{Value: "a", Present: true}, Chosen: "b"},
		"all in one zone: it is in b",
		"change the pod affinity to itself",
		"node(s) didn't match pod affinity rules",
	},
}

func TestReason(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range reasonTexts {
		name := reflect.TypeOf(c.reason).Name()
		tested[name] = true
		if got := Reason(c.reason); got != c.text {
			t.Errorf("Reason(%s)\n got %s\nwant %s", name, got, c.text)
		}
		if got := Remedy(c.reason); got != c.remedy {
			t.Errorf("Remedy(%s)\n got %s\nwant %s", name, got, c.remedy)
		}
		if got := schedulerText(c.reason); got != c.kubernetes {
			t.Errorf("schedulerText(%s)\n got %s\nwant %s", name, got, c.kubernetes)
		}
	}
	for _, name := range reasonTypes(t) {
		if !tested[name] {
			t.Errorf("no test for the text of %s", name)
		}
	}
}

func TestUnschedulable(t *testing.T) {
	cpu := place.InsufficientResource{Name: "cpu", Requested: 2}
	memory := place.InsufficientResource{Name: "memory", Requested: 2}
	taint := place.UntoleratedTaint{Key: "a", Effect: "NoSchedule"}
	for _, c := range []struct {
		name     string
		decision place.Decision
		want     string
	}{
		{"no nodes", place.Decision{}, "no nodes available to schedule pods"},
		{
			"pinned to a node that is not there", place.Decision{Nodes: 3},
			"0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity].",
		},
		{
			"only the first filter counts, once per node",
			place.Decision{Nodes: 3, Refusals: []place.Refusal{
				{Node: "a", Reasons: []place.Reason{taint, taint, cpu}},
				{Node: "b", Reasons: []place.Reason{cpu, memory}},
				{Node: "c", Reasons: []place.Reason{memory}},
			}},
			"0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 2 Insufficient memory.",
		},
	} {
		if got := Unschedulable(c.decision); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestPreemption(t *testing.T) {
	cpu := place.InsufficientResource{Name: "cpu", Requested: 2}
	for _, c := range []struct {
		preemption place.Preemption
		want       string
	}{
		{place.Preemption{Never: true, Nodes: 3}, "preemption: not eligible due to preemptionPolicy=Never."},
		{
			place.Preemption{Node: "a", Nodes: 3},
			"preemption: not eligible due to a terminating pod on the nominated node.",
		},
		{place.Preemption{Node: "a", Victims: []types.NamespacedName{{Name: "x"}}, Nodes: 3}, ""},
		{
			place.Preemption{Nodes: 4, Victimless: 1, Unhelpful: 3},
			"preemption: 0/4 nodes are available: 1 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling.",
		},
		{
			place.Preemption{Nodes: 1, Still: []place.Refusal{{Node: "a", Reasons: []place.Reason{cpu}}}},
			"preemption: 0/1 nodes are available: 1 Insufficient cpu.",
		},
	} {
		if got := Preemption(c.preemption); got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.preemption, got, c.want)
		}
	}
}

// reasonTypes lists the types that core/place declares to be reasons.
func reasonTypes(t *testing.T) []string {
	file, err := parser.ParseFile(token.NewFileSet(), "../core/place/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "isReason" {
			names = append(names, f.Recv.List[0].Type.(*ast.Ident).Name)
		}
	}
	if len(names) == 0 {
		t.Fatal("no reasons found")
	}
	return names
}
