package node

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/machine"
)

// start is when every transcript begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// smallMachine has round numbers.
func smallMachine() machine.Facts {
	return machine.Facts{
		Cores: 2, Memory: 8 << 30, BootID: "boot-1", MachineID: "machine", SystemUUID: "uuid",
		KernelVersion: "6.1.0", OSImage: "Debian", OperatingSystem: "linux", Architecture: "amd64",
	}
}

// transcript is the machine and the Node that a file of testdata is about.
type transcript struct {
	view view
}

func newTranscript() *transcript {
	thresholds, err := ParseThresholds(DefaultEviction)
	if err != nil {
		panic(err)
	}
	return &transcript{view{
		Node: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "post"}},
		Settings: &Settings{
			Name: "post", Addresses: []net.IP{net.IPv4(192, 0, 2, 7)}, Port: 10250,
			MaxPods: 110, Eviction: thresholds, Version: "v1.37.2",
		},
		Facts:   smallMachine(),
		Storage: machine.Filesystem{Capacity: 100 << 30, Available: 60 << 30},
		Runtime: agent.Condition{Name: "containerd", Version: "1.6.20"},
		Now:     start,
	}}
}

// set changes one thing that the status depends on.
func (tr *transcript) set(t *testing.T, key, value string) {
	v := &tr.view
	quantities := func() corev1.ResourceList {
		list := corev1.ResourceList{}
		for pair := range strings.SplitSeq(value, ",") {
			name, quantity, _ := strings.Cut(pair, ":")
			list[corev1.ResourceName(name)] = resource.MustParse(quantity)
		}
		return list
	}
	switch key {
	case "hugepages":
		quantity := resource.MustParse(value)
		v.Facts.Hugepages = []machine.Hugepages{{PageSize: 2 << 20, Total: quantity.Value()}, {PageSize: 1 << 30}}
	case "boot":
		v.Facts.BootID = value
	case "system-reserved":
		v.Settings.SystemReserved = quantities()
	case "kube-reserved":
		v.Settings.KubeReserved = quantities()
	case "extended":
		v.Settings.ExtendedResources = quantities()
	case "foreign":
		for name, quantity := range quantities() {
			v.Node.Status.Capacity[name] = quantity
		}
	case "pressure":
		v.Pressure = Pressure{Memory: strings.Contains(value, "memory"), Disk: strings.Contains(value, "disk"), PID: strings.Contains(value, "pid")}
	case "runtime":
		v.Runtime.Runtime = value
	case "network":
		v.Runtime.Network = value
	case "groups":
		v.Runtime.SupplementalGroupsPolicy = value == "strict"
	case "handlers":
		v.Runtime.Handlers = nil
		for name := range strings.SplitSeq(value, ",") {
			name, able := strings.CutSuffix(name, "+")
			v.Runtime.Handlers = append(v.Runtime.Handlers, agent.Handler{Name: name, RecursiveReadOnly: able})
		}
	case "down":
		v.RuntimeErr = fmt.Errorf("%s", value)
		v.Runtime = agent.Condition{}
	case "up":
		v.RuntimeErr, v.Runtime = nil, agent.Condition{Name: "containerd", Version: value}
	case "condition":
		v.Node.Status.Conditions = append(v.Node.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeConditionType(value), Status: corev1.ConditionTrue})
	default:
		t.Fatalf("unknown key %q", key)
	}
}

// TestStatus tells how the status of a node follows its machine: each command
// changes something, five seconds after the last one, and prints what of the
// status has changed with it.
func TestStatus(t *testing.T) {
	datadriven.Walk(t, "testdata/status", func(t *testing.T, path string) {
		tr := newTranscript()
		var shown []string
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			for _, arg := range d.CmdArgs {
				tr.set(t, arg.Key, strings.ReplaceAll(strings.Join(arg.Vals, ","), "_", " "))
			}
			before := tr.view.Node.DeepCopy()
			status, told := judge(tr.view)
			if again, _ := judge(tr.view); changed(&status, &again) {
				t.Errorf("equal views give different statuses")
			}
			if changed(&before.Status, &tr.view.Node.Status) {
				t.Errorf("the Node was modified")
			}
			tr.view.Node.Status = status
			tr.view.Now = tr.view.Now.Add(5 * time.Second)
			lines := describe(status)
			var out strings.Builder
			for _, line := range lines {
				if !slices.Contains(shown, line) {
					fmt.Fprintln(&out, line)
				}
			}
			shown = lines
			for _, e := range told {
				fmt.Fprintf(&out, "event %s %s: %s\n", e.Type, e.Reason, e.Message)
			}
			if out.Len() == 0 {
				return "no change\n"
			}
			return out.String()
		})
	})
}

// describe prints a status, a line for each thing that can change by itself.
func describe(status corev1.NodeStatus) []string {
	var lines []string
	var names []string
	for name := range status.Capacity {
		names = append(names, string(name))
	}
	slices.Sort(names)
	for _, name := range names {
		capacity, allocatable := status.Capacity[corev1.ResourceName(name)], status.Allocatable[corev1.ResourceName(name)]
		lines = append(lines, fmt.Sprintf("%s %s, allocatable %s", name, &capacity, &allocatable))
	}
	for _, address := range status.Addresses {
		lines = append(lines, fmt.Sprintf("%s %s", address.Type, address.Address))
	}
	i := status.NodeInfo
	lines = append(lines,
		fmt.Sprintf("machine %s %s, boot %s, %s %s %s %q", i.MachineID, i.SystemUUID, i.BootID, i.OperatingSystem, i.Architecture, i.KernelVersion, i.OSImage),
		fmt.Sprintf("kubelet %s on port %d, runtime %s", i.KubeletVersion, status.DaemonEndpoints.KubeletEndpoint.Port, i.ContainerRuntimeVersion))
	if f := status.Features; f != nil && *f.SupplementalGroupsPolicy {
		lines = append(lines, "groups can be strict")
	}
	for _, h := range status.RuntimeHandlers {
		lines = append(lines, fmt.Sprintf("handler %q, recursive read-only mounts %t, user namespaces %t", h.Name, *h.Features.RecursiveReadOnlyMounts, *h.Features.UserNamespaces))
	}
	for _, c := range status.Conditions {
		lines = append(lines, fmt.Sprintf("%s=%s since %v: %s, %s", c.Type, c.Status, c.LastTransitionTime.Sub(start), c.Reason, c.Message))
	}
	return lines
}

func TestImages(t *testing.T) {
	var present []agent.Image
	for i := range 60 {
		present = append(present, agent.Image{
			ID: fmt.Sprintf("sha256:%02d", i), Size: int64(i / 2),
			Digest: []string{"r@1", "r@2"}, Tags: []string{"r:1", "r:2", "r:3", "r:4"},
		})
	}
	got := images(present)
	if len(got) != maxImages || got[0].SizeBytes != 29 || got[49].SizeBytes != 5 {
		t.Errorf("%d images, from %d to %d bytes", len(got), got[0].SizeBytes, got[len(got)-1].SizeBytes)
	}
	if want := []string{"r@1", "r@2", "r:1", "r:2", "r:3"}; !slices.Equal(got[0].Names, want) {
		t.Errorf("names %v, want %v", got[0].Names, want)
	}
}
