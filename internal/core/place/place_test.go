package place

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// transcript is the state of one golden file: the nodes that questions are
// asked of.
type transcript struct {
	nodes []*corev1.Node
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
		tr.nodes = parseNodes(t, d)
		return ""
	case "daemon":
		s := ForDaemon(parseDaemon(t, d))
		return tr.each(func(n *corev1.Node) string { return formatVerdict(Eligible(s, n)) })
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

// parseNodes reads one node a line: NAME LABEL=VALUE… !TAINT…
func parseNodes(t *testing.T, d *datadriven.TestData) []*corev1.Node {
	var nodes []*corev1.Node
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		n := &corev1.Node{}
		n.Name = words[0]
		n.Labels = map[string]string{}
		for _, w := range words[1:] {
			if taint, ok := strings.CutPrefix(w, "!"); ok {
				n.Spec.Taints = append(n.Spec.Taints, parseTaint(taint))
				continue
			}
			key, value, ok := strings.Cut(w, "=")
			if !ok {
				d.Fatalf(t, "node %s: %q is neither label=value nor !taint", n.Name, w)
			}
			n.Labels[key] = value
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// parseTaint reads KEY[=VALUE]:EFFECT.
func parseTaint(s string) corev1.Taint {
	left, effect, _ := strings.Cut(s, ":")
	key, value, _ := strings.Cut(left, "=")
	return corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
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
	var b strings.Builder
	switch {
	case v.Run:
		b.WriteString(" run\n")
	case v.Continue:
		b.WriteString(" stay\n")
	default:
		b.WriteString(" no\n")
	}
	for _, r := range v.Reasons {
		b.WriteString("  " + formatReason(r) + "\n")
	}
	return b.String()
}

// formatReason prints a reason as the data it is: its type and its fields.
func formatReason(r Reason) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", r), "place.")
	affinity, ok := r.(NodeAffinityMismatch)
	if !ok {
		return fmt.Sprintf("%s %+v", name, r)
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
