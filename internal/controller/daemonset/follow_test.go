package daemonset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/view"
)

const zone = corev1.LabelTopologyZone

// near is a required term for pods of an app, in the DaemonSet's namespace.
func near(app, topology string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}, TopologyKey: topology,
	}
}

// seeking makes the DaemonSet require all terms, and pods stay for the grace.
func seeking(grace string, terms ...corev1.PodAffinityTerm) func(*appsv1.DaemonSet) {
	return func(ds *appsv1.DaemonSet) {
		ds.Annotations = map[string]string{view.PlacementGraceAnnotation: grace}
		ds.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: terms,
		}}
	}
}

// shunning makes the DaemonSet keep away from all terms, without a grace.
func shunning(terms ...corev1.PodAffinityTerm) func(*appsv1.DaemonSet) {
	return func(ds *appsv1.DaemonSet) {
		ds.Annotations = map[string]string{view.PlacementGraceAnnotation: "0s"}
		ds.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: terms,
		}}
	}
}

// addPlaces creates nodes, each in the zone that follows its name: "a/east".
func (b *bench) addPlaces(places ...string) {
	b.Helper()
	for _, p := range places {
		name, in, _ := strings.Cut(p, "/")
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: b.node(name), Labels: map[string]string{
			"test": b.namespace, corev1.LabelHostname: b.node(name), zone: b.namespace + in,
		}}}
		must(b.T, b.client.CoreV1().Nodes().Create, b.Context(), node)
		b.patchNode(name, `{"spec":{"taints":null}}`) // admission taints what has not yet said that it is ready
		b.Cleanup(func() {
			_ = b.client.CoreV1().Nodes().Delete(context.Background(), node.Name, metav1.DeleteOptions{})
		})
	}
}

// workload binds a pod of an app to a node; its own name is "<app>-<node>".
func (b *bench) workload(namespace, app, node string, edit ...func(*corev1.Pod)) *corev1.Pod {
	b.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: app + "-" + node, Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{
			NodeName:   b.node(node),
			Containers: []corev1.Container{{Name: "c", Image: "image:1"}},
		},
	}
	for _, e := range edit {
		e(pod)
	}
	return must(b.T, b.client.CoreV1().Pods(namespace).Create, b.Context(), pod)
}

// otherNamespace creates a namespace beside that of the test.
func (b *bench) otherNamespace(labels map[string]string) string {
	b.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace + "-other", Labels: labels}}
	must(b.T, b.client.CoreV1().Namespaces().Create, b.Context(), ns)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	must(b.T, b.client.CoreV1().ServiceAccounts(ns.Name).Create, b.Context(), account)
	return ns.Name
}

// daemons are the pods of the test's DaemonSet.
func (b *bench) daemons() []corev1.Pod {
	b.Helper()
	return slices.DeleteFunc(b.pods(), func(p corev1.Pod) bool { return !b.controls(&p) })
}

// stays checks, over many turns, that the DaemonSet has just these pods.
func (b *bench) stays(want map[string]string) {
	b.Helper()
	for range 20 {
		if err := b.step(); err != nil {
			b.Fatal(err)
		}
		b.play()
		if got := names(b.daemons()); fmt.Sprint(got) != fmt.Sprint(want) {
			b.Fatalf("pods %v, want %v", got, want)
		}
	}
}

// Where the workload goes the daemon goes, and leaves it when it has gone.
func TestFollowsWorkload(t *testing.T) {
	b := newBench(t)
	b.run()
	b.addPlaces("a/east", "b/east", "c/west")
	b.apply(seeking("0s", near("db", corev1.LabelHostname)))
	b.hasPods()
	first := b.workload(b.namespace, "db", "a")
	b.hasPods("a")
	second := b.workload(b.namespace, "db", "c")
	b.hasPods("a", "c")
	b.end(first)
	b.hasPods("c")
	// What has ended is no company, nor is what only looks like it.
	_, err := b.client.CoreV1().Pods(b.namespace).Patch(t.Context(), second.Name, types.MergePatchType,
		[]byte(`{"status":{"phase":"Succeeded"}}`), metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
	b.hasPods()
	b.workload(b.otherNamespace(nil), "db", "b")
	b.workload(b.namespace, "web", "b")
	b.workload(b.namespace, "db", "a")
	b.hasPods("a")
	// A template that asks for other company moves the daemon.
	b.edit(seeking("0s", near("web", corev1.LabelHostname)))
	b.hasPods("b")
	b.edit(func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Affinity = nil })
	b.hasPods("a", "b", "c")
}

// A zone has several nodes; several terms must all hold, each by any pod.
func TestFollowsThroughTopologies(t *testing.T) {
	b := newBench(t)
	b.run()
	b.addPlaces("a/east", "b/east", "c/west")
	b.apply(seeking("0s", near("api", zone), near("client", corev1.LabelHostname)))
	b.workload(b.namespace, "client", "a")
	b.workload(b.namespace, "client", "c")
	b.hasPods()
	api := b.workload(b.namespace, "api", "b")
	b.hasPods("a")
	b.patchNode("a", fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, zone, b.namespace+"west"))
	b.hasPods()
	b.patchNode("c", fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, zone, b.namespace+"east"))
	b.hasPods("c")
	b.end(api)
	b.hasPods()
}

// A node without a pod comes into a domain, and leaves it.
func TestNodeChangesDomain(t *testing.T) {
	b := newBench(t)
	b.run()
	b.addPlaces("a/east", "b/west")
	b.workload(b.namespace, "api", "a")
	b.apply(seeking("0s", near("api", zone)))
	b.hasPods("a")
	b.await("rest", func() bool { return b.daemonSet().Status.NumberAvailable == 1 })
	b.patchNode("b", fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, zone, b.namespace+"east"))
	b.hasPods("a", "b")
	b.patchNode("b", fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, zone))
	b.hasPods("a")
}

// Terms may select namespaces, whose labels may change.
func TestFollowsAcrossNamespaces(t *testing.T) {
	b := newBench(t)
	b.run()
	b.addPlaces("a/east", "b/east")
	term := near("db", corev1.LabelHostname)
	term.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"watched": b.namespace}}
	b.apply(seeking("0s", term))
	other := b.otherNamespace(nil)
	b.workload(other, "db", "a")
	b.workload(b.namespace, "db", "b")
	b.hasPods()
	label := func(value string) {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"watched":%s}}}`, value)
		if _, err := b.client.CoreV1().Namespaces().Patch(t.Context(), other, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	label(fmt.Sprintf("%q", b.namespace))
	b.hasPods("a")
	label("null")
	b.hasPods()
}

// Anti-affinity keeps the daemon away, and lets it return.
func TestKeepsAway(t *testing.T) {
	b := newBench(t)
	b.run()
	b.addPlaces("a/east", "b/east", "c/west")
	b.apply(shunning(near("critical", zone), near("ds", corev1.LabelHostname)))
	b.hasPods("a", "b", "c")
	critical := b.workload(b.namespace, "critical", "a")
	b.hasPods("c")
	b.setImage("image:2")
	b.await("update", func() bool {
		ds := b.daemonSet()
		return ds.Status.ObservedGeneration == ds.Generation && ds.Status.UpdatedNumberScheduled == 1 && ds.Status.NumberAvailable == 1
	})
	b.end(critical)
	b.hasPods("a", "b", "c")
}

// A workload that goes and comes within the grace moves nothing; the status says
// so truthfully.
func TestFlappingWithinTheGrace(t *testing.T) {
	b := newBench(t)
	b.addPlaces("a/east", "b/east")
	b.apply(seeking("1h", near("db", corev1.LabelHostname)))
	for range 3 {
		db := b.workload(b.namespace, "db", "a")
		b.until("pod", func() bool { return b.daemonSet().Status.NumberAvailable == 1 })
		before := names(b.daemons())
		b.end(db)
		b.until("lapse", func() bool {
			st := b.daemonSet().Status
			return st.DesiredNumberScheduled == 0 && st.NumberMisscheduled == 1
		})
		b.stays(before)
	}
	// No update makes it go, nor come elsewhere; the end of the grace does.
	b.edit(func(ds *appsv1.DaemonSet) { ds.Annotations[view.PlacementGraceAnnotation] = "never" })
	b.stays(names(b.daemons()))
	b.edit(func(ds *appsv1.DaemonSet) { ds.Annotations[view.PlacementGraceAnnotation] = "1ms" })
	b.until("departure", func() bool { return len(b.daemons()) == 0 })
}

// A grace passes without an event; the turn after it comes by itself.
func TestGraceEndsByItself(t *testing.T) {
	b := newBench(t)
	b.run()
	b.addPlaces("a/east")
	db := b.workload(b.namespace, "db", "a")
	b.apply(seeking("700ms", near("db", corev1.LabelHostname)))
	b.hasPods("a")
	b.await("available", func() bool { return b.daemonSet().Status.NumberAvailable == 1 })
	begun := time.Now()
	b.end(db)
	b.hasPods()
	if took := time.Since(begun); took < 600*time.Millisecond {
		t.Errorf("the pod left after %s", took)
	}
}

// inCaches waits for the controller to see a node.
func (b *bench) inCaches(node string) {
	b.Helper()
	b.until("node "+node, func() bool {
		return slices.ContainsFunc(b.c.roster.get().Nodes(), func(n *corev1.Node) bool { return n.Name == b.node(node) })
	})
}

// A daemon that keeps away from itself in a zone has one node of each, and keeps
// it whatever comes.
func TestOnePerZone(t *testing.T) {
	b := newBench(t)
	b.addPlaces("b/east", "c/west", "d/west")
	b.apply(shunning(near("ds", zone)))
	b.complete()
	chosen := names(b.daemons())
	if len(chosen) != 2 || chosen[b.node("b")] == "" || chosen[b.node("c")] == "" {
		t.Fatalf("chosen: %v", chosen)
	}
	b.addPlaces("a/east")
	b.inCaches("a")
	b.stays(chosen)
	// Also through an update, between two pods of a zone.
	b.setImage("image:2")
	b.until("update", func() bool {
		for _, p := range b.daemons() {
			if chosen[target(&p)] == "" {
				t.Fatalf("the choice has moved: %s", describe(b.daemons()))
			}
		}
		st := b.daemonSet().Status
		return st.DesiredNumberScheduled == 2 && st.UpdatedNumberScheduled == 2 && st.NumberAvailable == 2
	})
	// The node goes, and its zone gets another.
	if err := b.client.CoreV1().Nodes().Delete(t.Context(), b.node("b"), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.until("the other node", func() bool {
		byNode := names(b.daemons())
		return byNode[b.node("a")] != "" && byNode[b.node("c")] != "" && b.daemonSet().Status.DesiredNumberScheduled == 2
	})
}

// A choice is kept, too, while nobody binds its pod.
func TestUnboundChoiceStays(t *testing.T) {
	b := newBench(t)
	b.idle = true
	b.addPlaces("b/east")
	b.apply(shunning(near("ds", zone)))
	b.until("pod", func() bool { return len(b.daemons()) == 1 })
	chosen := names(b.daemons())
	b.addPlaces("a/east")
	b.inCaches("a")
	for range 20 {
		b.c.forget(b.key)
		if err := b.step(); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(b.daemons()); fmt.Sprint(got) != fmt.Sprint(chosen) {
		t.Errorf("pods %v, want %v", got, chosen)
	}
}

// Preferred pods exclude no node, and order the work.
func TestPreferredPodsGoFirst(t *testing.T) {
	b := newBench(t)
	b.addPlaces("a/east", "b/east", "c/west")
	b.workload(b.namespace, "noisy", "b")
	b.workload(b.namespace, "quiet", "c")
	b.until("company in the caches", func() bool {
		pods, err := b.c.pods.Pods(b.namespace).List(labels.Everything())
		return err == nil && len(pods) == 2
	})
	tried := ""
	b.writer.refuse = func(pod *corev1.Pod) error { tried = target(pod); return errors.New("not now") }
	b.apply(func(ds *appsv1.DaemonSet) {
		ds.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
				{Weight: 50, PodAffinityTerm: near("noisy", corev1.LabelHostname)},
				{Weight: 100, PodAffinityTerm: near("quiet", corev1.LabelHostname)},
			},
		}}
	})
	for i, name := range []string{"c", "b", "a"} {
		tried = ""
		refuseAll := b.writer.refuse
		b.until("attempt", func() bool { return tried != "" })
		if tried != b.node(name) {
			t.Errorf("number %d is %s, want %s", i, tried, b.node(name))
		}
		b.writer.refuse = func(pod *corev1.Pod) error {
			if target(pod) != b.node(name) {
				return errors.New("not now")
			}
			return nil
		}
		b.until("pod", func() bool { return len(b.daemons()) == i+1 })
		b.writer.refuse = refuseAll
	}
}

// A grace that cannot be read is told once, and the default holds.
func TestInvalidGrace(t *testing.T) {
	b := newBench(t)
	b.addPlaces("a/east")
	b.apply(seeking("soon", near("db", corev1.LabelHostname)))
	db := b.workload(b.namespace, "db", "a")
	b.until("pod", func() bool { return b.daemonSet().Status.NumberAvailable == 1 })
	b.end(db)
	b.until("lapse", func() bool { return b.daemonSet().Status.NumberMisscheduled == 1 })
	b.stays(names(b.daemons()))
	told := slices.DeleteFunc(b.told(), func(e string) bool { return !strings.Contains(e, "InvalidPlacementGrace") })
	want := `Warning InvalidPlacementGrace annotation garrison.dev/placement-grace: "soon" is neither a duration such as 90s nor "never"; pods stay for the default, 1m0s`
	if len(told) != 1 || told[0] != want {
		t.Errorf("events: %q, want %q", told, want)
	}
}

// resize gives a node room for pods that request so many cpus together.
func (b *bench) resize(node, cpus string) {
	b.Helper()
	n, err := b.client.CoreV1().Nodes().Get(b.Context(), b.node(node), metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	n.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpus), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("20"),
	}
	n.Status.Capacity = n.Status.Allocatable
	if _, err := b.client.CoreV1().Nodes().UpdateStatus(b.Context(), n, metav1.UpdateOptions{}); err != nil {
		b.Fatal(err)
	}
}

func cpus(n string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(n)}
	}
}

// blocked is the message of the condition, or "" while it does not hold.
func (b *bench) blocked() string {
	b.Helper()
	for _, c := range b.daemonSet().Status.Conditions {
		if string(c.Type) == rollout.Blocked && c.Status == corev1.ConditionTrue {
			return c.Reason + " " + c.Message
		}
	}
	return ""
}

// Pods that could run elsewhere and keep the daemon out of its only node are
// named: just those whose leaving would make room, and none that is protected.
func TestCrowdIsNamed(t *testing.T) {
	b := newBench(t)
	b.idle = true
	b.addPlaces("a/east", "b/east")
	b.patchNode("b", `{"metadata":{"labels":{"test":null}}}`)
	b.resize("a", "4")
	b.resize("b", "4")
	b.workload(b.namespace, "small", "a", cpus("1"))
	b.workload(b.namespace, "protected", "a", cpus("2"))
	b.workload(b.namespace, "bound", "a", cpus("1"), func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"test": b.namespace} })
	none := intstr.FromInt32(0)
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "keep"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: &none, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "protected"}},
		},
	}
	must(t, b.client.PolicyV1().PodDisruptionBudgets(b.namespace).Create, t.Context(), budget)
	b.apply(func(ds *appsv1.DaemonSet) {
		ds.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	})
	b.until("pod", func() bool { return len(b.daemons()) == 1 })
	b.refuseToSchedule(&b.daemons()[0])
	want := fmt.Sprintf("NodesCrowded pods that could run elsewhere, and are of the same priority, take the room on %s (%s/small-a)", b.node("a"), b.namespace)
	b.until("block", func() bool { return strings.HasPrefix(b.blocked(), want) })
	// When it goes nobody can be named, for what is left has nowhere to go.
	if err := b.client.CoreV1().Pods(b.namespace).Delete(t.Context(), "small-a", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	b.until("relief", func() bool { return !strings.Contains(b.blocked(), "NodesCrowded") })
}

// refuseToSchedule says of a pod what the scheduler does when it fits nowhere.
func (b *bench) refuseToSchedule(pod *corev1.Pod) {
	b.Helper()
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: "0/2 nodes are available", LastTransitionTime: metav1.Now(),
	}}
	if _, err := b.client.CoreV1().Pods(pod.Namespace).UpdateStatus(b.Context(), pod, metav1.UpdateOptions{}); err != nil {
		b.Fatal(err)
	}
}

// A DaemonSet without pod terms makes nobody look at other pods.
func TestOthersPayNothing(t *testing.T) {
	b := newBench(t)
	b.addPlaces("a/east")
	db := b.workload(b.namespace, "db", "a")
	subject := place.ForDaemon(b.apply(nil))
	around := newSurroundings(shared.Informers())
	around.follow(b.key, subject)
	around.podChanged(keyOf(db))
	around.nodeChanged(b.node("a"))
	around.namespaceChanged(b.namespace)
	t1 := &turn{Controller: &Controller{surroundings: around}, memory: &memory{template: template{subject: subject}}}
	t1.standings(b.c.roster.get(), nil)
	if around.cluster != nil {
		t.Error("the surroundings are kept for nobody")
	}
}
