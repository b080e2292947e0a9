package simulated

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"
)

// TestNodeTranscripts plays the status of nodes. Commands:
//
//	node       a new node, as YAML
//	edit       YAML laid over the node; a null removes a field
//	step at=N  one turn, N seconds after the start; the status is taken over
func TestNodeTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/node", func(t *testing.T, path string) {
		var node *corev1.Node
		var last *resources
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "node":
				node, last = &corev1.Node{}, nil
				fallthrough
			case "edit":
				node = node.DeepCopy()
				if err := yaml.Unmarshal([]byte(d.Input), node); err != nil {
					d.Fatalf(t, "%v", err)
				}
				return ""
			case "step":
				var at int
				d.ScanArgs(t, "at", &at)
				before := node.DeepCopy()
				status := nodeStatus(nodeView{
					Node: node, Last: last, Address: "10.8.0.1", Version: "v1.37.2",
					Now: epoch.Add(time.Duration(at) * time.Second),
				})
				if !equality.Semantic.DeepEqual(before, node) {
					t.Errorf("%s: the step edited its argument", d.Pos)
				}
				out := "nothing to do\n"
				if status != nil {
					node = node.DeepCopy()
					node.Status = *status
					out = transcribeNode(status)
				}
				last = &resources{Capacity: node.Status.Capacity, Allocatable: node.Status.Allocatable}
				return out
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

func transcribeNode(status *corev1.NodeStatus) string {
	var out strings.Builder
	names := []string{}
	for name := range status.Capacity {
		names = append(names, string(name))
	}
	for name := range status.Allocatable {
		names = append(names, string(name))
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		capacity, hasCapacity := status.Capacity[corev1.ResourceName(name)]
		allocatable, hasAllocatable := status.Allocatable[corev1.ResourceName(name)]
		fmt.Fprintf(&out, "%s", name)
		if hasCapacity {
			fmt.Fprintf(&out, " capacity=%v", capacity.String())
		}
		if hasAllocatable {
			fmt.Fprintf(&out, " allocatable=%v", allocatable.String())
		}
		out.WriteString("\n")
	}
	for _, c := range status.Conditions {
		fmt.Fprintf(&out, "%s=%s since=%v %s\n", c.Type, c.Status, c.LastTransitionTime.Sub(epoch).Seconds(), c.Reason)
	}
	for _, a := range status.Addresses {
		fmt.Fprintf(&out, "%s %s\n", a.Type, a.Address)
	}
	info := status.NodeInfo
	fmt.Fprintf(&out, "kubelet %s on %s/%s port %d\n", info.KubeletVersion, info.OperatingSystem, info.Architecture, status.DaemonEndpoints.KubeletEndpoint.Port)
	return out.String()
}
