package place

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/core/place/placetest"
)

// transcript is the state of one golden file: the cluster that questions are
// asked of, and its nodes in the order of the file.
type transcript struct {
	cluster *Cluster
	nodes   []*corev1.Node
}

// TestTranscripts runs the golden files in testdata, which read as a manual of
// placement. Rewrite them with -rewrite, and commit only what you understand.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		tr := &transcript{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := tr.run(t, d)
			for range 20 {
				if again := tr.run(t, d); again != out {
					d.Fatalf(t, "equal inputs gave two answers:\n%s\n%s", out, again)
				}
			}
			return out
		})
	})
}

func (tr *transcript) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "nodes":
		tr.cluster, tr.nodes = NewCluster(), nil
		for line := range strings.Lines(d.Input) {
			n, err := placetest.Node(line)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			tr.nodes = append(tr.nodes, n)
			tr.cluster.SetNode(n)
		}
		return ""
	case "pods":
		for line := range strings.Lines(d.Input) {
			pod := parsePod(t, d, line)
			tr.cluster.Place(ForPod(pod), pod.Spec.NodeName)
		}
		return ""
	case "daemon":
		s := ForDaemon(parseDaemon(t, d))
		return tr.each(func(n *corev1.Node) string { return formatVerdict(Eligible(s, n)) })
	case "fit":
		s := ForPod(parsePod(t, d, d.Input))
		return tr.each(func(n *corev1.Node) string { return formatFit(tr.cluster.Fits(s, n.Name)) })
	case "prefer":
		s := ForDaemon(parseDaemon(t, d))
		return tr.each(func(n *corev1.Node) string { return fmt.Sprintf(" %d\n", Preference(s, n)) })
	case "tolerations":
		return formatTolerations(parseDaemon(t, d).Spec.Template.Spec)
	case "pinned":
		node, ok := PinnedNode(&corev1.Pod{Spec: parseDaemon(t, d).Spec.Template.Spec})
		if !ok {
			return "not pinned\n"
		}
		return "pinned to " + node + "\n"
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
		return ""
	}
}

func (tr *transcript) each(ask func(*corev1.Node) string) string {
	var b strings.Builder
	for _, n := range tr.nodes {
		b.WriteString(n.Name + ":" + ask(n))
	}
	return b.String()
}

func parsePod(t *testing.T, d *datadriven.TestData, text string) *corev1.Pod {
	pod, err := placetest.Pod(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return pod
}

// parseDaemon reads the input as the spec of a DaemonSet's pods, in YAML.
func parseDaemon(t *testing.T, d *datadriven.TestData) *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{}
	if err := yaml.UnmarshalStrict([]byte(d.Input), &ds.Spec.Template.Spec); err != nil {
		d.Fatalf(t, "pod spec: %v", err)
	}
	return ds
}

func formatVerdict(v Verdict) string {
	word := " no\n"
	switch {
	case v.Run:
		word = " run\n"
	case v.Continue:
		word = " stay\n"
	}
	return word + formatReasons(v.Reasons)
}

func formatFit(reasons []Reason) string {
	if len(reasons) == 0 {
		return " fits\n"
	}
	return " no\n" + formatReasons(reasons)
}

func formatReasons(reasons []Reason) string {
	var b strings.Builder
	for _, r := range reasons {
		b.WriteString("  " + formatReason(r) + "\n")
	}
	return b.String()
}

// formatReason prints a reason as the data it is: its type and its fields.
func formatReason(r Reason) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", r), "place.")
	affinity, ok := r.(NodeAffinityMismatch)
	if !ok {
		suffix := ""
		if r.Preemptable() {
			suffix = " (preemptable)"
		}
		return fmt.Sprintf("%s %+v%s", name, r, suffix)
	}
	var b strings.Builder
	b.WriteString(name)
	for _, term := range affinity.Terms {
		fmt.Fprintf(&b, "\n    term %d:", term.Index)
		if term.Invalid != "" {
			b.WriteString(" invalid: " + term.Invalid)
		}
		for _, f := range term.Failed {
			fmt.Fprintf(&b, "\n      %+v", f)
		}
	}
	return b.String()
}

func formatTolerations(spec corev1.PodSpec) string {
	var b strings.Builder
	for _, t := range DaemonTolerations(spec.Tolerations, spec.HostNetwork) {
		fmt.Fprintf(&b, "%s %s", t.Key, t.Operator)
		if t.Value != "" {
			b.WriteString(" " + t.Value)
		}
		b.WriteString(" " + string(t.Effect))
		if t.TolerationSeconds != nil {
			fmt.Fprintf(&b, " for %ds", *t.TolerationSeconds)
		}
		b.WriteString("\n")
	}
	return b.String()
}
