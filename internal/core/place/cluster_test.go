package place

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// worldModel is a cluster as plain lists, from which the naive evaluator
// answers by looking at everything.
type worldModel struct {
	nodes      map[string]*corev1.Node
	pods       map[string]*corev1.Pod // by namespace/name
	namespaces map[string]map[string]string
}

// placedPods lists the pods on nodes that exist.
func (w *worldModel) placedPods() []*corev1.Pod {
	var out []*corev1.Pod
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		if p := w.pods[name]; w.nodes[p.Spec.NodeName] != nil {
			out = append(out, p)
		}
	}
	return out
}

func (w *worldModel) termSelects(holder *corev1.Pod, term corev1.PodAffinityTerm, pod *corev1.Pod) bool {
	inNamespace := slices.Contains(term.Namespaces, pod.Namespace)
	if term.NamespaceSelector != nil {
		selector, _ := metav1.LabelSelectorAsSelector(term.NamespaceSelector)
		inNamespace = inNamespace || selector.Matches(labelSet(w.namespaces[pod.Namespace]))
	} else if len(term.Namespaces) == 0 {
		inNamespace = pod.Namespace == holder.Namespace
	}
	selector, _ := metav1.LabelSelectorAsSelector(term.LabelSelector)
	return inNamespace && selector.Matches(labelSet(pod.Labels))
}

type labelSet map[string]string

func (l labelSet) Has(key string) bool              { _, ok := l[key]; return ok }
func (l labelSet) Get(key string) string            { return l[key] }
func (l labelSet) Lookup(key string) (string, bool) { v, ok := l[key]; return v, ok }

func sameDomain(a, b *corev1.Node, key string) bool {
	x, okX := a.Labels[key]
	y, okY := b.Labels[key]
	return okX && okY && x == y
}

// naiveFits answers from the documentation of the API and of Garrison's
// departures from it, looking at every pod each time.
func (w *worldModel) naiveFits(pod *corev1.Pod, n *corev1.Node) bool {
	spec := pod.Spec
	if run, _ := naiveEligible(spec, n); !run && !naiveNoAutomatic(spec, n) {
		return false
	}
	if !naiveNoAutomatic(spec, n) {
		return false
	}
	if !w.naiveRoom(pod, n) {
		return false
	}
	for _, other := range w.placedPods() {
		if other.Name == pod.Name && other.Namespace == pod.Namespace {
			continue
		}
		there := w.nodes[other.Spec.NodeName]
		if naiveSiblings(pod, other) && there.Name == n.Name {
			continue
		}
		for _, term := range naiveAnti(pod) {
			if sameDomain(n, there, term.TopologyKey) && w.termSelects(pod, term, other) {
				return false
			}
		}
		for _, term := range naiveAnti(other) {
			if sameDomain(n, there, term.TopologyKey) && w.termSelects(other, term, pod) {
				return false
			}
		}
	}
	return w.naiveAffine(pod, n) && w.naiveSpread(pod, n)
}

// naiveSpread counts the pods of each constraint in all zones.
func (w *worldModel) naiveSpread(pod *corev1.Pod, n *corev1.Node) bool {
	for _, c := range pod.Spec.TopologySpreadConstraints {
		if c.WhenUnsatisfiable == corev1.ScheduleAnyway {
			continue
		}
		here, ok := n.Labels[c.TopologyKey]
		if !ok {
			return false
		}
		selector, _ := metav1.LabelSelectorAsSelector(c.LabelSelector)
		counts := map[string]int{}
		for _, node := range w.nodes {
			domain, ok := node.Labels[c.TopologyKey]
			bare := node.DeepCopy()
			bare.Spec.Taints = nil
			anywhere := pod.Spec // a name is no affinity
			anywhere.NodeName = ""
			if run, _ := naiveEligible(anywhere, bare); !ok || !run {
				continue
			}
			counts[domain] += 0
			for _, other := range w.placedPods() {
				if other.Spec.NodeName == node.Name && other.Namespace == pod.Namespace &&
					other.DeletionTimestamp == nil && selector.Matches(labelSet(other.Labels)) {
					counts[domain]++
				}
			}
		}
		least := 1 << 30
		for _, count := range counts {
			least = min(least, count)
		}
		self := 0
		if selector.Matches(labelSet(pod.Labels)) {
			self = 1
		}
		if counts[here]+self-least > int(c.MaxSkew) {
			return false
		}
	}
	return true
}

// naiveNoAutomatic checks name, labels and taints of a pod as it is.
func naiveNoAutomatic(spec corev1.PodSpec, n *corev1.Node) bool {
	clean := n.DeepCopy()
	clean.Spec.Taints = nil
	if run, _ := naiveEligible(spec, clean); !run {
		return false
	}
	tolerated := func(taint corev1.Taint) bool {
		return slices.ContainsFunc(spec.Tolerations, func(t corev1.Toleration) bool {
			return (t.Effect == "" || t.Effect == taint.Effect) && (t.Key == "" || t.Key == taint.Key) &&
				(t.Operator == "Exists" || t.Value == taint.Value)
		})
	}
	for _, taint := range n.Spec.Taints {
		if taint.Effect != "PreferNoSchedule" && !tolerated(taint) {
			return false
		}
	}
	return !n.Spec.Unschedulable || tolerated(corev1.Taint{Key: "node.kubernetes.io/unschedulable", Effect: "NoSchedule"})
}

func (w *worldModel) naiveRoom(pod *corev1.Pod, n *corev1.Node) bool {
	pods, cpu := int64(0), pod.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
	wants := cpu
	for _, other := range w.placedPods() {
		if other.Spec.NodeName != n.Name {
			continue
		}
		pods++
		cpu += other.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
		for _, p := range pod.Spec.Containers[0].Ports {
			for _, q := range other.Spec.Containers[0].Ports {
				if p.HostPort == q.HostPort && p.Protocol == q.Protocol &&
					(p.HostIP == q.HostIP || p.HostIP == "0.0.0.0" || q.HostIP == "0.0.0.0") {
					return false
				}
			}
		}
	}
	return pods < n.Status.Allocatable.Pods().Value() && (wants == 0 || cpu <= n.Status.Allocatable.Cpu().MilliValue())
}

func (w *worldModel) naiveAffine(pod *corev1.Pod, n *corev1.Node) bool {
	for _, term := range naiveAffinity(pod) {
		if _, ok := n.Labels[term.TopologyKey]; !ok {
			return false
		}
		company, anywhere := false, false
		for _, other := range w.placedPods() {
			there := w.nodes[other.Spec.NodeName]
			if !w.termSelects(pod, term, other) {
				continue
			}
			if naiveSiblings(pod, other) && (there.Name == n.Name || term.TopologyKey == "kubernetes.io/hostname") {
				continue
			}
			if _, ok := there.Labels[term.TopologyKey]; ok {
				anywhere = true
			}
			company = company || sameDomain(n, there, term.TopologyKey)
		}
		if !company && (anywhere || !w.termSelects(pod, term, pod)) {
			return false
		}
	}
	return true
}

func naiveAffinity(pod *corev1.Pod) []corev1.PodAffinityTerm {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAffinity == nil {
		return nil
	}
	return pod.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

func naiveAnti(pod *corev1.Pod) []corev1.PodAffinityTerm {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
		return nil
	}
	return pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

func naiveSiblings(a, b *corev1.Pod) bool {
	return len(a.OwnerReferences) > 0 && len(b.OwnerReferences) > 0 && a.OwnerReferences[0].UID == b.OwnerReferences[0].UID
}

var (
	clusterNodes  = []string{"n1", "n2", "n3", "n4"}
	someNamespace = rapid.SampledFrom([]string{"x", "y"})
	someApp       = rapid.SampledFrom([]string{"a", "b"})
	someTopology  = rapid.SampledFrom([]string{"zone", "kubernetes.io/hostname"})
	someOwner     = rapid.SampledFrom([]string{"", "", "ds-1", "ds-2"})
)

func drawClusterNode(t *rapid.T, name string) *corev1.Node {
	n := genNode.Draw(t, "node")
	n.Name = name
	n.Labels["kubernetes.io/hostname"] = name
	if zone := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "zone"); zone != "" {
		n.Labels["zone"] = zone
	} else {
		delete(n.Labels, "zone")
	}
	if rapid.IntRange(0, 2).Draw(t, "tainted") > 0 {
		n.Spec.Taints = nil
	}
	n.Spec.Unschedulable = rapid.IntRange(0, 5).Draw(t, "cordoned") == 0
	n.Status.Allocatable = corev1.ResourceList{
		"cpu":  *resource.NewQuantity(rapid.Int64Range(1, 6).Draw(t, "cpu"), resource.DecimalSI),
		"pods": *resource.NewQuantity(rapid.Int64Range(2, 6).Draw(t, "pods"), resource.DecimalSI),
	}
	return n
}

var genPodTerm = rapid.Custom(func(t *rapid.T) corev1.PodAffinityTerm {
	term := corev1.PodAffinityTerm{TopologyKey: someTopology.Draw(t, "topology")}
	switch rapid.IntRange(0, 3).Draw(t, "selector") {
	case 0:
		term.LabelSelector = &metav1.LabelSelector{}
	case 1:
		// none: selects nothing
	default:
		term.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": someApp.Draw(t, "app")}}
	}
	switch rapid.IntRange(0, 4).Draw(t, "namespaces") {
	case 0:
		term.Namespaces = []string{someNamespace.Draw(t, "namespace")}
	case 1:
		term.NamespaceSelector = &metav1.LabelSelector{}
	case 2:
		term.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "red"}}
		term.Namespaces = []string{someNamespace.Draw(t, "namespace")}
	}
	return term
})

// drawTerms draws no term, one, or the same one twice.
func drawTerms(t *rapid.T, label string) []corev1.PodAffinityTerm {
	terms := rapid.SliceOfN(genPodTerm, 0, 1).Draw(t, label)
	if rapid.IntRange(0, 9).Draw(t, "twice") == 0 {
		terms = append(terms, terms...)
	}
	return terms
}

func drawPod(t *rapid.T, name string) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = someNamespace.Draw(t, "namespace"), name
	pod.UID = types.UID(pod.Namespace + "/" + name)
	pod.Labels = map[string]string{"app": someApp.Draw(t, "app")}
	if owner := someOwner.Draw(t, "owner"); owner != "" {
		yes := true
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: owner, UID: types.UID(owner), Controller: &yes}}
	}
	container := corev1.Container{Name: "c"}
	if cpu := rapid.Int64Range(0, 2).Draw(t, "cpu"); cpu > 0 {
		container.Resources.Requests = corev1.ResourceList{"cpu": *resource.NewQuantity(cpu, resource.DecimalSI)}
	}
	if rapid.IntRange(0, 3).Draw(t, "port") == 0 {
		container.Ports = []corev1.ContainerPort{{
			HostPort: 80,
			HostIP:   rapid.SampledFrom([]string{"0.0.0.0", "10.0.0.1", "10.0.0.2"}).Draw(t, "ip"),
			Protocol: rapid.SampledFrom([]corev1.Protocol{"TCP", "UDP"}).Draw(t, "protocol"),
		}}
	}
	pod.Spec.Containers = []corev1.Container{container}
	priority := rapid.Int32Range(0, 2).Draw(t, "priority")
	pod.Spec.Priority = &priority
	pod.Spec.Affinity = &corev1.Affinity{
		PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: drawTerms(t, "affinity"),
		},
		PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: drawTerms(t, "anti"),
		},
	}
	if rapid.IntRange(0, 3).Draw(t, "preferred") == 0 {
		pod.Spec.Affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.WeightedPodAffinityTerm{
			{Weight: rapid.Int32Range(1, 2).Draw(t, "weight"), PodAffinityTerm: genPodTerm.Draw(t, "prefers")},
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "spread") == 0 {
		pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": someApp.Draw(t, "app")}},
		}}
	}
	if rapid.IntRange(0, 4).Draw(t, "terminating") == 0 {
		pod.DeletionTimestamp = &metav1.Time{}
	}
	if rapid.IntRange(0, 3).Draw(t, "selects") == 0 {
		pod.Spec.NodeSelector = map[string]string{"zone": someValue.Draw(t, "zone")}
	}
	return pod
}

// clusterRun drives a Cluster and the naive model through the same changes.
type clusterRun struct {
	c       *Cluster
	w       *worldModel
	daemons []*Subject
	// before are the verdicts on the daemons before a change.
	before []map[string]Verdict
}

func newClusterRun(t *rapid.T) *clusterRun {
	r := &clusterRun{
		c: NewCluster(),
		w: &worldModel{nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}, namespaces: map[string]map[string]string{}},
	}
	for i := range 2 {
		pod := drawPod(t, fmt.Sprintf("ds-%d", i+1))
		ds := &appsv1.DaemonSet{}
		ds.Namespace, ds.Name, ds.UID = pod.Namespace, pod.Name, types.UID(pod.Name)
		ds.Spec.Template.Labels, ds.Spec.Template.Spec = pod.Labels, pod.Spec
		s := ForDaemon(ds)
		r.daemons = append(r.daemons, s)
		r.c.Follow(s)
	}
	r.before = r.verdicts()
	return r
}

func (r *clusterRun) verdicts() []map[string]Verdict {
	var out []map[string]Verdict
	for _, s := range r.daemons {
		verdicts := map[string]Verdict{}
		for _, v := range r.c.Coverage(s) {
			v.Reasons = nil // evidence may change without notice
			verdicts[v.Node] = v.Verdict
		}
		out = append(out, verdicts)
	}
	return out
}

// checkAffected checks that a verdict changed only where the change was said to
// have an effect, or on the node that was itself changed.
// The daemon's own pods are its controller's to watch.
func (r *clusterRun) checkAffected(t *rapid.T, all []Affected, changed string, moved ...*corev1.Pod) {
	after := r.verdicts()
	for i, s := range r.daemons {
		reported := map[string]bool{changed: true}
		any := changed != "" || slices.ContainsFunc(moved, func(pod *corev1.Pod) bool { return daemonSetOf(pod) == s.owner })
		for _, a := range all {
			if a.Daemon == s.Key {
				any = true
				for _, node := range r.c.NodesIn(a) {
					reported[node] = true
				}
			}
		}
		for node, v := range after[i] {
			was, known := r.before[i][node]
			if !known || reflect.DeepEqual(was, v) || reported[node] {
				continue
			}
			// Whoever chooses among nodes is asked as a whole.
			if any && r.c.ChoosesNodes(s) {
				continue
			}
			t.Fatalf("verdict on %s at %s changed from %+v to %+v, but affected are only %v", s.Key, node, was, v, all)
		}
	}
	r.before = after
}

func (r *clusterRun) place(t *rapid.T) {
	pod := drawPod(t, rapid.SampledFrom([]string{"p1", "p2", "p3", "p4", "p5", "p6"}).Draw(t, "name"))
	pod.Spec.NodeName = rapid.SampledFrom(clusterNodes).Draw(t, "on")
	moved := []*corev1.Pod{pod}
	if old := r.w.pods[string(pod.UID)]; old != nil {
		moved = append(moved, old)
	}
	r.w.pods[string(pod.UID)] = pod
	before := pod.DeepCopy()
	all := r.c.Place(ForPod(pod), pod.Spec.NodeName)
	r.checkAffected(t, all, "", moved...)
	if !reflect.DeepEqual(before, pod) {
		t.Fatal("the pod was changed")
	}
}

func (r *clusterRun) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"node": func(t *rapid.T) {
			n := drawClusterNode(t, rapid.SampledFrom(clusterNodes).Draw(t, "name"))
			r.w.nodes[n.Name] = n
			r.checkAffected(t, r.c.SetNode(n), n.Name)
		},
		"no node": func(t *rapid.T) {
			name := rapid.SampledFrom(clusterNodes).Draw(t, "name")
			delete(r.w.nodes, name)
			r.checkAffected(t, r.c.RemoveNode(name), name)
		},
		"place":  r.place,
		"place2": r.place, // more often than they leave
		"remove": func(t *rapid.T) {
			keys := slices.Sorted(maps.Keys(r.w.pods))
			if len(keys) == 0 {
				t.Skip("no pods")
			}
			pod := r.w.pods[rapid.SampledFrom(keys).Draw(t, "pod")]
			delete(r.w.pods, string(pod.UID))
			r.checkAffected(t, r.c.Remove(ForPod(pod).Key), "", pod)
		},
		"namespace": func(t *rapid.T) {
			name := someNamespace.Draw(t, "name")
			labels := map[string]string{"team": rapid.SampledFrom([]string{"red", "blue"}).Draw(t, "team")}
			r.w.namespaces[name] = labels
			r.checkAffected(t, r.c.SetNamespace(name, labels), "")
		},
	}
}

// Whatever happened to a cluster, event by event, it answers as if all of it
// were looked at anew.
func TestClusterAgreesWithNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newClusterRun(t)
		actions := r.actions()
		actions[""] = func(t *rapid.T) {
			for range 5 {
				r.ask(t)
			}
		}
		t.Repeat(actions)
	})
}

// ask asks for a pod that is not there.
func (r *clusterRun) ask(t *rapid.T) {
	pod := drawPod(t, "asking")
	if rapid.IntRange(0, 3).Draw(t, "pinned") == 0 {
		pod.Spec.NodeName = rapid.SampledFrom(clusterNodes).Draw(t, "to")
	}
	s := ForPod(pod)
	fits := 0
	for name, n := range r.w.nodes {
		reasons := r.c.Fits(s, name)
		if got, want := len(reasons) == 0, r.w.naiveFits(pod, n); got != want {
			t.Fatalf("%s on %s: fits=%v, naively %v\n%v", pod.Name, name, got, want, reasons)
		} else if got {
			fits++
		}
	}
	d := r.c.Schedule(s)
	if fits == 0 && d.Node != "" || fits > 0 && (d.Node == "" || !r.w.naiveFits(pod, r.w.nodes[d.Node])) {
		t.Fatalf("scheduled to %q, while it fits on %d nodes", d.Node, fits)
	}
	if d.Node == "" {
		r.checkPreempt(t, pod, d)
	}
}

// checkPreempt checks that preemption makes room where there is some to be
// made, deletes no pod without need, and leaves the cluster as it was.
func (r *clusterRun) checkPreempt(t *rapid.T, pod *corev1.Pod, d Decision) {
	before := fingerprint(r.c)
	p := r.c.Preempt(ForPod(pod), d, nil)
	r.c.Displace(ForPod(pod), d, nil)
	if after := fingerprint(r.c); after != before {
		t.Fatalf("preemption left traces:\n%s\n%s", before, after)
	}
	if p.Node == "" {
		for name, n := range r.w.nodes {
			if w := r.w.without(func(other *corev1.Pod) bool {
				return other.Spec.NodeName == name && *other.Spec.Priority < *pod.Spec.Priority
			}); w.naiveFits(pod, n) {
				t.Fatalf("no preemption, but %s has room to make: %+v", name, p)
			}
		}
		return
	}
	victim := map[types.NamespacedName]bool{}
	for _, key := range p.Victims {
		victim[key] = true
		other := r.w.pods[key.String()]
		if other.Spec.NodeName != p.Node || *other.Spec.Priority >= *pod.Spec.Priority || other.DeletionTimestamp != nil {
			t.Fatalf("%s must not be a victim of a pod on %s", key, p.Node)
		}
	}
	leaves := func(other *corev1.Pod) bool {
		leaving := other.DeletionTimestamp != nil && *other.Spec.Priority < *pod.Spec.Priority && other.Spec.NodeName == p.Node
		return leaving || victim[ForPod(other).Key]
	}
	if !r.w.without(leaves).naiveFits(pod, r.w.nodes[p.Node]) {
		t.Fatalf("the pod does not fit on %s even without %v", p.Node, p.Victims)
	}
	for spared := range victim {
		if w := r.w.without(func(other *corev1.Pod) bool {
			return leaves(other) && ForPod(other).Key != spared
		}); w.naiveFits(pod, r.w.nodes[p.Node]) && !seeksCompany(pod) {
			t.Fatalf("%s was preempted without need, victims are %v", spared, p.Victims)
		}
	}
}

// seeksCompany reports whether more pods can make a pod fit better, so that the
// order in which they are tried matters.
func seeksCompany(pod *corev1.Pod) bool {
	return len(naiveAffinity(pod))+len(pod.Spec.TopologySpreadConstraints) > 0
}

// without is the model without some pods.
func (w *worldModel) without(gone func(*corev1.Pod) bool) *worldModel {
	out := &worldModel{nodes: w.nodes, pods: maps.Clone(w.pods), namespaces: w.namespaces}
	maps.DeleteFunc(out.pods, func(_ string, pod *corev1.Pod) bool { return gone(pod) })
	return out
}

// fingerprint prints all that a cluster knows about pods. Tallies of terms that
// were asked about are only a memory; they are printed if they are wrong.
func fingerprint(c *Cluster) string {
	var lines []string
	tallies := func(kind string, t *tally) {
		lines = append(lines, kind+" "+formatTally(t))
	}
	for name, state := range c.nodes {
		keys := slices.SortedFunc(maps.Keys(state.pods), compareKeys)
		lines = append(lines, fmt.Sprintf("node %s: %v used %+v typical %+v ports %v", name, keys, state.used, state.typical, state.ports))
	}
	for _, t := range c.index.asked {
		anew := newTally(t.term)
		for _, p := range c.pods {
			if n := c.nodes[p.node].node; n != nil && c.selects(t.term, p.Subject) {
				anew.add(p.Subject, n)
			}
		}
		if got, want := formatTally(t), formatTally(anew); got != want {
			lines = append(lines, "asked "+got+" should be "+want)
		}
	}
	for _, t := range c.index.heldAnti {
		tallies("anti", t)
	}
	for id, t := range c.index.heldWeights {
		tallies(fmt.Sprint("weight ", id.weight), t)
	}
	lines = append(lines, fmt.Sprintf("owned %v", c.owned))
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func formatTally(t *tally) string {
	var lines []string
	for value, d := range t.domains {
		keys := slices.SortedFunc(maps.Keys(d.pods), compareKeys)
		lines = append(lines, fmt.Sprintf("%s: %v %v", value, keys, d.owners))
	}
	slices.Sort(lines)
	return fmt.Sprintf("%q: %d %v %v", t.term.id, t.total, t.owners, lines)
}
