package nodelife

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

// world is a set of nodes that does what the ledger plans.
type world struct {
	ledger *ledger
	nodes  map[string]*corev1.Node
	leases map[string]metav1.MicroTime
	wakes  map[string]time.Time
	now    time.Time
	uids   int
}

// TestTranscripts plays the lives of nodes. Times are seconds. Commands, each
// with its lines of input:
//
//	nodes at=N         NAME [zone=Z] [unschedulable] [excluded] [taint=KEY:EFFECT]
//	                   [CONDITION=STATUS ...]
//	                   creates a node, or writes these things to one; a write
//	                   of Ready carries a heartbeat, unless it says silently
//	delete at=N        NAME ...
//	restart at=N       the controller forgets all but what the API holds
//	run until=N        time passes; lines "NAME ..." renew their leases every 10 s
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/nodes", func(t *testing.T, path string) {
		w := &world{nodes: map[string]*corev1.Node{}, leases: map[string]metav1.MicroTime{}}
		w.restart()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			var seconds float64
			if d.MaybeScanArgs(t, "at", &seconds); d.Cmd != "run" {
				w.now = at(seconds)
			}
			switch d.Cmd {
			case "nodes":
				for line := range strings.Lines(d.Input) {
					w.write(t, d, strings.Fields(line))
				}
				w.settle(t, &out)
			case "delete":
				for _, name := range strings.Fields(d.Input) {
					delete(w.nodes, name)
					w.wake(w.ledger.forget(name))
				}
				w.settle(t, &out)
			case "restart":
				w.restart()
				w.settle(t, &out)
			case "run":
				d.ScanArgs(t, "until", &seconds)
				w.run(t, &out, at(seconds), strings.Fields(d.Input))
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			if out.Len() == 0 {
				return "nothing to do\n"
			}
			return out.String()
		})
	})
}

func (w *world) restart() {
	w.ledger = newLedger(50*time.Second, 60*time.Second)
	w.wakes = map[string]time.Time{}
	for name, node := range w.nodes {
		w.ledger.enrol(heartbeat{Node: node, Renewed: w.leases[name]}, w.now)
		w.wakes[name] = w.now
	}
}

// write creates a node or changes one.
func (w *world) write(t *testing.T, d *datadriven.TestData, words []string) {
	name := words[0]
	node := &corev1.Node{}
	if old := w.nodes[name]; old != nil {
		node = old.DeepCopy()
	} else {
		w.uids++
		node.Name, node.UID, node.CreationTimestamp = name, types.UID(strconv.Itoa(w.uids)), metav1.NewTime(w.now)
	}
	silently := slices.Contains(words, "silently")
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "zone":
			node.Labels = map[string]string{corev1.LabelTopologyZone: value}
		case "excluded":
			node.Labels = map[string]string{exclusionLabel: ""}
		case "unschedulable":
			node.Spec.Unschedulable = value != "false"
		case "silently":
		case "taint":
			key, effect, _ := strings.Cut(value, ":")
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffect(effect)})
		default:
			setCondition(node, corev1.NodeConditionType(key), corev1.ConditionStatus(value), metav1.NewTime(w.now), silently)
		}
	}
	w.nodes[name] = node
	w.wakes[name] = w.now
}

func setCondition(node *corev1.Node, kind corev1.NodeConditionType, status corev1.ConditionStatus, now metav1.Time, silently bool) {
	c := condition(node, kind)
	if c == nil {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{Type: kind})
		c = condition(node, kind)
	}
	c.Status = status
	if !silently {
		c.LastHeartbeatTime = now
	}
}

func (w *world) wake(names []string) {
	for _, name := range names {
		w.wakes[name] = w.now
	}
}

// settle looks at every node that is due, in the order of names, until none is.
func (w *world) settle(t *testing.T, out *strings.Builder) {
	for range 1000 {
		name := ""
		for other, due := range w.wakes {
			if !due.After(w.now) && (name == "" || other < name) {
				name = other
			}
		}
		if name == "" {
			return
		}
		delete(w.wakes, name)
		if node := w.nodes[name]; node != nil {
			w.look(t, out, node)
		}
	}
	t.Error("the nodes never settle")
}

func (w *world) look(t *testing.T, out *strings.Builder, node *corev1.Node) {
	before := node.DeepCopy()
	p := w.ledger.plan(heartbeat{Node: node, Renewed: w.leases[node.Name]}, w.now)
	if !equality.Semantic.DeepEqual(before, node) {
		t.Errorf("planning edited node %s", node.Name)
	}
	after := node.DeepCopy()
	did := []string{}
	if p.Conditions != nil {
		after.Status.Conditions = p.Conditions
		ready := condition(after, corev1.NodeReady)
		did = append(did, fmt.Sprintf("Ready=%s %s", ready.Status, ready.Reason))
	}
	w.ledger.commit(node, p)
	if p.Fell {
		did = append(did, "fell")
	}
	if p.Tell && !w.ledger.nodes[node.Name].Told {
		did = append(did, "tell pods")
		w.ledger.told(node)
	}
	if p.Taints != nil {
		did = append(did, changes(node.Spec.Taints, p.Taints)...)
		after.Spec.Taints = p.Taints
	}
	w.nodes[node.Name] = after
	if len(did) > 0 {
		fmt.Fprintf(out, "%5.0f %s: %s\n", w.now.Sub(epoch).Seconds(), node.Name, strings.Join(did, ", "))
		w.wakes[node.Name] = w.now
	} else if !p.Wake.IsZero() {
		w.wakes[node.Name] = p.Wake
	}
	w.wake(p.Others)
}

// changes lists the taints that come and go.
func changes(old, next []corev1.Taint) []string {
	var all []string
	list := func(sign string, from, without []corev1.Taint) {
		for _, taint := range from {
			if !slices.ContainsFunc(without, func(other corev1.Taint) bool { return other.MatchTaint(&taint) }) {
				all = append(all, sign+strings.TrimPrefix(taint.Key, "node.kubernetes.io/")+":"+string(taint.Effect))
			}
		}
	}
	list("-", old, next)
	list("+", next, old)
	return all
}

// run lets time pass from one wake-up or renewal to the next.
func (w *world) run(t *testing.T, out *strings.Builder, until time.Time, renewing []string) {
	for {
		for _, name := range renewing {
			if w.leases[name].Time.Add(10 * time.Second).After(w.now) {
				continue
			}
			w.leases[name] = metav1.NewMicroTime(w.now)
			w.ledger.heard(name, w.leases[name], w.now)
		}
		w.settle(t, out)
		if w.now.Equal(until) {
			return
		}
		next := until
		for _, due := range w.wakes {
			if due.Before(next) {
				next = due
			}
		}
		for _, name := range renewing {
			if due := w.leases[name].Time.Add(10 * time.Second); due.Before(next) {
				next = due
			}
		}
		w.now = next
	}
}
