package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/dump"
	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/api/defaults"
	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/revision"
	"github.com/garrison-project/garrison/internal/core/rollout"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// TestTranscripts runs the golden files in testdata, in which objects go in as
// YAML and come out as the core sees them, or the other way round.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "pod":
				return newPod(t, d)
			case "input":
				return rolloutInput(t, d)
			case "step":
				return stepPod(t, d)
			case "status":
				return podStatus(t, d)
			case "data":
				data, err := RevisionData(parseDaemonSet(t, d.Input))
				if err != nil {
					return err.Error() + "\n"
				}
				return string(data) + "\n"
			case "revision":
				ds := parseDaemonSet(t, d.Input)
				return toYAML(t, NewRevision(ds, revision.Creation{Name: "ds-hash", Hash: "hash", Number: 3}, []byte("{}")))
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

// newPod renders the pod for a node, and checks that the template stays as it is.
func newPod(t *testing.T, d *datadriven.TestData) string {
	ds := parseDaemonSet(t, d.Input)
	before := toYAML(t, ds)
	pod := NewPod(ds, "hash", "node-a", "ds-name")
	pod.Labels["changed"], pod.Spec.Tolerations[0].Key = "yes", "changed"
	if toYAML(t, ds) != before {
		d.Fatalf(t, "the pod shares memory with the template")
	}
	return toYAML(t, NewPod(ds, "hash", "node-a", "ds-name"))
}

// rolloutInput reads a DaemonSet, then nodes, then pods.
func rolloutInput(t *testing.T, d *datadriven.TestData) string {
	docs := strings.Split(d.Input, "---\n")
	ds := parseDaemonSet(t, docs[0])
	var nodes []*corev1.Node
	var pods []*corev1.Pod
	for _, doc := range docs[1:] {
		var meta metav1.TypeMeta
		decode(t, doc, &meta)
		switch meta.Kind {
		case "Node":
			nodes = append(nodes, decode(t, doc, &corev1.Node{}))
		case "Pod":
			pods = append(pods, decode(t, doc, &corev1.Pod{}))
		default:
			t.Fatalf("unknown kind %q", meta.Kind)
		}
	}
	o := Observation{Now: now, DaemonSet: ds, Hash: "hash", Roster: NewRoster(nodes), Pods: pods}
	subject := place.ForDaemon(ds)
	for _, n := range o.Roster.Nodes() {
		o.Standings = append(o.Standings, Stand(subject, n))
	}
	in, err := RolloutInput(o)
	if err != nil {
		return err.Error() + "\n"
	}
	return formatInput(in)
}

func formatInput(in rollout.Input) string {
	var b strings.Builder
	fmt.Fprintf(&b, "set %+v\nstrategy %+v minReady=%s grace=%s prePull=%t\n", in.Set, in.Strategy, in.MinReady, in.PlacementGrace, in.PrePull)
	for _, n := range in.Nodes {
		fmt.Fprintf(&b, "node %s verdict=%d score=%d bad=%s away=%t prePulls=%t\n", n.Name, n.Verdict, n.Score, ago(n.BadSince), n.Away, n.PrePulls)
		for _, p := range n.Pods {
			b.WriteString("  " + formatPod(p))
		}
	}
	for _, p := range in.Strays {
		b.WriteString("stray " + formatPod(p))
	}
	return b.String()
}

func formatPod(p rollout.Pod) string {
	text := fmt.Sprintf("%s on %s uid=%s bound=%t created=%s phase=%d deleteBy=%s ready=%s hash=%s generation=%s waiting=%s",
		p.Name, p.Node, p.UID, p.Bound, ago(p.Created), p.Phase, ago(p.DeleteBy), ago(p.ReadySince), p.Hash, p.Generation, p.Waiting)
	if p.Scheduler != "" {
		text += " scheduler=" + p.Scheduler
	}
	if pull := p.Pull; pull.Hash != "" {
		text += fmt.Sprintf(" pull=%s state=%d since=%s reason=%s", pull.Hash, pull.State, ago(pull.Since), pull.Reason)
	}
	return text + "\n"
}

func ago(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Sub(now).String()
}

func parseDaemonSet(t *testing.T, text string) *appsv1.DaemonSet {
	ds := decode(t, text, &appsv1.DaemonSet{})
	defaults.DaemonSet(ds)
	return ds
}

func decode[T any](t *testing.T, text string, object *T) *T {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), object); err != nil {
		t.Fatal(err)
	}
	return object
}

func toYAML(t *testing.T, object any) string {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTemplateHash holds hashes to those that Kubernetes v1.36 computes. Its
// types lack one field, and with it the end of the dump that is hashed; so the
// names of revisions change with the types, while their bytes, which decide, do
// not.
func TestTemplateHash(t *testing.T) {
	ds := &appsv1.DaemonSet{}
	ds.Spec.Template.Labels = map[string]string{"a": "b"}
	ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "registry.k8s.io/pause:3.10"}}
	defaults.PodTemplateSpec(&ds.Spec.Template)
	one := int32(1)
	withoutNewFields := strings.Replace(dump.ForHash(ds.Spec.Template), " EvictionResponders:([]v1.EvictionResponder)<nil>", "", 1)
	for _, c := range []struct {
		collisions   *int32
		v1_36, v1_37 string
	}{
		{nil, "74cc64b44c", "7c79689bd9"},
		{&one, "84454644db", "7459d7db4"},
	} {
		if got := revision.Hash([]byte(withoutNewFields), c.collisions); got != c.v1_36 {
			t.Errorf("with the types of v1.36: got %s, want %s", got, c.v1_36)
		}
		ds.Status.CollisionCount = c.collisions
		if got := TemplateHash(ds); got != c.v1_37 {
			t.Errorf("with the types of v1.37: got %s, want %s", got, c.v1_37)
		}
	}
}

func TestStatusKeepsWhatOthersSet(t *testing.T) {
	earlier := metav1.NewTime(now.Add(-time.Hour))
	count := int32(2)
	old := &appsv1.DaemonSetStatus{
		ObservedGeneration: 4, CollisionCount: &count,
		Conditions: []appsv1.DaemonSetCondition{
			{Type: "Foreign", Status: corev1.ConditionTrue, Reason: "E2E"},
			{Type: rollout.Available, Status: corev1.ConditionTrue, LastTransitionTime: earlier},
			{Type: rollout.Blocked, Status: corev1.ConditionTrue, LastTransitionTime: earlier},
		},
	}
	before := toYAML(t, old)
	st := Status(old, rollout.Status{
		Desired: 7, Current: 6, Misscheduled: 1, Ready: 5, Updated: 4, Available: 3, Unavailable: 4,
		Conditions: []rollout.Condition{
			{Type: rollout.Available, Holds: true, Reason: "R", Message: "M"},
			{Type: rollout.Progressing, Holds: true},
			{Type: rollout.Blocked, Holds: false},
		},
	}, now)
	want := &appsv1.DaemonSetStatus{
		DesiredNumberScheduled: 7, CurrentNumberScheduled: 6, NumberMisscheduled: 1, NumberReady: 5,
		UpdatedNumberScheduled: 4, NumberAvailable: 3, NumberUnavailable: 4,
		ObservedGeneration: 4, CollisionCount: &count,
		Conditions: []appsv1.DaemonSetCondition{
			{Type: "Foreign", Status: corev1.ConditionTrue, Reason: "E2E"},
			{Type: rollout.Available, Status: corev1.ConditionTrue, LastTransitionTime: earlier, Reason: "R", Message: "M"},
			{Type: rollout.Blocked, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(now)},
			{Type: rollout.Progressing, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now)},
		},
	}
	if got := toYAML(t, st); got != toYAML(t, want) {
		t.Errorf("got\n%s\nwant\n%s", got, toYAML(t, want))
	}
	if toYAML(t, old) != before {
		t.Error("Status changed its argument")
	}
}
