package place

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/core/place/placetest"
)

// transcript is the state of one golden file: the cluster that questions are
// asked of, and its nodes in the order of the file.
type transcript struct {
	cluster *Cluster
	nodes   []string
	budgets []*policyv1.PodDisruptionBudget
}

// TestTranscripts runs the golden files in testdata, which read as a manual of
// placement. Rewrite them with -rewrite, and commit only what you understand.
func TestTranscripts(t *testing.T) {
	for _, path := range placetest.Transcripts(t) {
		t.Run(path, func(t *testing.T) {
			tr := &transcript{cluster: NewCluster()}
			datadriven.RunTest(t, path, tr.run)
		})
	}
}

func (tr *transcript) run(t *testing.T, d *datadriven.TestData) string {
	if change, ok := changes[d.Cmd]; ok {
		return change(tr, t, d)
	}
	ask, ok := questions[d.Cmd]
	if !ok {
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	out := ask(tr, t, d)
	for range 20 {
		if again := ask(tr, t, d); again != out {
			d.Fatalf(t, "equal inputs gave two answers:\n%s\n%s", out, again)
		}
	}
	return out
}

type command func(tr *transcript, t *testing.T, d *datadriven.TestData) string

// changes alter the cluster and answer whom that affects.
var changes = map[string]command{
	"new-cluster": func(tr *transcript, _ *testing.T, _ *datadriven.TestData) string {
		tr.cluster, tr.nodes = NewCluster(), nil
		return ""
	},
	"nodes": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		return tr.change(d, func(line string) []Affected {
			n, err := placetest.Node(line)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			if tr.cluster.Node(n.Name) == nil {
				tr.nodes = append(tr.nodes, n.Name)
			}
			return tr.cluster.SetNode(n)
		})
	},
	"delete-nodes": func(tr *transcript, _ *testing.T, d *datadriven.TestData) string {
		return tr.change(d, func(line string) []Affected {
			tr.nodes = slices.DeleteFunc(tr.nodes, func(name string) bool { return name == line })
			return tr.cluster.RemoveNode(line)
		})
	},
	"pods": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		return tr.change(d, func(line string) []Affected { return tr.place(t, d, line) })
	},
	"pod": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		return tr.formatAffected(tr.place(t, d, d.Input))
	},
	"delete-pods": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		return tr.change(d, func(line string) []Affected {
			return tr.cluster.Remove(ForPod(parsePod(t, d, line)).Key)
		})
	},
	"namespaces": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		return tr.change(d, func(line string) []Affected {
			pod := parsePod(t, d, line) // a name and labels
			return tr.cluster.SetNamespace(pod.Name, pod.Labels)
		})
	},
	"budgets": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		tr.budgets = nil
		for line := range strings.Lines(d.Input) {
			b, err := placetest.Budget(line)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			tr.budgets = append(tr.budgets, b)
		}
		return ""
	},
	"nominate": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		return tr.change(d, func(line string) []Affected {
			pod := parsePod(t, d, line)
			tr.cluster.Nominate(ForPod(pod), pod.Spec.NodeName)
			return nil
		})
	},
	"follow": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		tr.cluster.Follow(daemonSubject(t, d))
		return ""
	},
}

// questions leave the cluster as it is.
var questions = map[string]command{
	"daemon": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		s := ForDaemon(parseDaemon(t, d))
		return tr.each(func(n *corev1.Node) string { return formatVerdict(Eligible(s, n)) })
	},
	"cover": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		var b strings.Builder
		chosen := map[string]bool{}
		for _, arg := range d.CmdArgs {
			for _, node := range arg.Vals {
				chosen[node] = true
			}
		}
		for _, v := range tr.cluster.CoverageKeeping(daemonSubject(t, d), chosen) {
			b.WriteString(v.Node + ":" + formatVerdict(v.Verdict))
		}
		return b.String()
	},
	"fit": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		s := ForPod(parsePod(t, d, d.Input))
		return tr.each(func(n *corev1.Node) string { return formatFit(tr.cluster.Fits(s, n.Name)) })
	},
	"schedule": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		decision := tr.cluster.Schedule(ForPod(parsePod(t, d, d.Input)))
		if decision.Node != "" {
			return "to " + decision.Node + "\n"
		}
		return formatRefusals(decision.Refusals)
	},
	"preempt": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		s := ForPod(parsePod(t, d, d.Input))
		p := tr.cluster.Preempt(s, tr.cluster.Schedule(s), tr.budgets)
		if p.Node == "" {
			return fmt.Sprintf("nowhere: never=%v unhelpful=%d victimless=%d\n", p.Never, p.Unhelpful, p.Victimless) +
				formatRefusals(p.Still)
		}
		return fmt.Sprintf("on %s: victims %v, %d against budgets\n", p.Node, p.Victims, p.Violations)
	},
	"displace": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		s := ForPod(parsePod(t, d, d.Input))
		before := fingerprint(tr.cluster)
		p := tr.cluster.Displace(s, tr.cluster.Schedule(s), tr.budgets)
		if after := fingerprint(tr.cluster); after != before {
			d.Fatalf(t, "it left traces:\n%s\n%s", before, after)
		}
		if p.Node == "" {
			return "nobody\n"
		}
		return fmt.Sprintf("on %s: %v\n", p.Node, p.Victims)
	},
	"admit": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		s := ForPod(parsePod(t, d, d.Input))
		return tr.each(func(n *corev1.Node) string {
			others := slices.Collect(maps.Values(tr.cluster.nodes[n.Name].pods))
			return formatFit(Admit(s, n, others))
		})
	},
	"make-room": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		s := occupant(ForPod(parsePod(t, d, d.Input)))
		return tr.each(func(n *corev1.Node) string {
			var others []*Subject
			var occupants []Occupant
			for _, o := range tr.cluster.nodes[n.Name].pods {
				others, occupants = append(others, o), append(occupants, occupant(o))
			}
			victims, err := MakeRoom(s, Admit(s.Subject, n, others), occupants)
			if err != nil {
				return fmt.Sprintf(" %v\n", err)
			}
			text := ""
			for _, v := range victims {
				text += " " + v.Key.Name
			}
			return text + "\n"
		})
	},
	"score": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		q := &question{c: tr.cluster, s: ForPod(parsePod(t, d, d.Input))}
		var nodes []*nodeState
		for _, name := range tr.nodes {
			nodes = append(nodes, tr.cluster.nodes[name])
		}
		sums := q.scores(nodes)
		var b strings.Builder
		fmt.Fprintf(&b, "%-8s%8s%8s%8s%8s%8s%8s%8s%8s\n", "", "taints", "nodes", "pods", "spread", "free", "balance", "images", "sum")
		for i, name := range tr.nodes {
			fmt.Fprintf(&b, "%-8s", name)
			for _, c := range criteria {
				fmt.Fprintf(&b, "%8s", fmt.Sprintf("%d*%d", c.weight, c.score(q, nodes)[i]))
			}
			fmt.Fprintf(&b, "%8d\n", sums[i])
		}
		return b.String()
	},
	"prefer": func(tr *transcript, t *testing.T, d *datadriven.TestData) string {
		s := daemonSubject(t, d)
		return tr.each(func(n *corev1.Node) string { return fmt.Sprintf(" %d\n", tr.cluster.Preference(s, n.Name)) })
	},
	"tolerations": func(_ *transcript, t *testing.T, d *datadriven.TestData) string {
		return formatTolerations(parseDaemon(t, d).Spec.Template.Spec)
	},
	"pinned": func(_ *transcript, t *testing.T, d *datadriven.TestData) string {
		node, ok := PinnedNode(&corev1.Pod{Spec: parseDaemon(t, d).Spec.Template.Spec})
		if !ok {
			return "not pinned\n"
		}
		return "pinned to " + node + "\n"
	},
}

func formatRefusals(refusals []Refusal) string {
	var b strings.Builder
	for _, r := range refusals {
		b.WriteString(r.Node + ": no\n" + formatReasons(r.Reasons))
	}
	return b.String()
}

// change applies a change for each line of the input.
func (tr *transcript) change(d *datadriven.TestData, apply func(line string) []Affected) string {
	var b strings.Builder
	for line := range strings.Lines(d.Input) {
		b.WriteString(tr.formatAffected(apply(strings.TrimSpace(line))))
	}
	return b.String()
}

func (tr *transcript) place(t *testing.T, d *datadriven.TestData, text string) []Affected {
	pod := parsePod(t, d, text)
	return tr.cluster.Place(ForPod(pod), pod.Spec.NodeName)
}

func (tr *transcript) formatAffected(all []Affected) string {
	var b strings.Builder
	for _, a := range all {
		where := "everywhere"
		if a.TopologyKey != "" {
			where = a.TopologyKey + "=" + a.Value
		}
		fmt.Fprintf(&b, "affects %s %s: %s\n", a.Daemon, where, strings.Join(tr.cluster.NodesIn(a), " "))
	}
	return b.String()
}

// daemonSubject reads the notation of a pod as that of a DaemonSet whose UID is
// its name.
func daemonSubject(t *testing.T, d *datadriven.TestData) *Subject {
	pod := parsePod(t, d, d.Input)
	ds := &appsv1.DaemonSet{}
	ds.Namespace, ds.Name, ds.UID = pod.Namespace, pod.Name, types.UID(pod.Name)
	ds.Spec.Template.Labels, ds.Spec.Template.Spec = pod.Labels, pod.Spec
	return ForDaemon(ds)
}

func (tr *transcript) each(ask func(*corev1.Node) string) string {
	var b strings.Builder
	for _, name := range tr.nodes {
		b.WriteString(name + ":" + ask(tr.cluster.Node(name)))
	}
	return b.String()
}

// occupant goes by the labels qos, critical and unranked.
func occupant(s *Subject) Occupant {
	classes := map[string]corev1.PodQOSClass{
		"": corev1.PodQOSBestEffort, "burstable": corev1.PodQOSBurstable, "guaranteed": corev1.PodQOSGuaranteed,
	}
	return Occupant{Subject: s, Critical: s.labels["critical"] != "", Ranked: s.labels["unranked"] == "", QOS: classes[s.labels["qos"]]}
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
	case v.Grace:
		word = " no, after a grace\n"
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
