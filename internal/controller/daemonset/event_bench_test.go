package daemonset

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/garrison-project/garrison/internal/view"
)

// quiet is a controller over caches that a test fills, with DaemonSets that follow
// workload pods. Nobody takes turns.
type quiet struct {
	c    *Controller
	pods cache.Indexer
	sets []*appsv1.DaemonSet
}

// followers is how many DaemonSets there are, usedNodes where the events happen.
const followers, usedNodes = 20, 50

func newQuiet(tb testing.TB, nodes int) *quiet {
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	c, err := New(Options{Client: fake.NewClientset(), Informers: factory, Events: &record.FakeRecorder{}})
	if err != nil {
		tb.Fatal(err)
	}
	q := &quiet{c: c, pods: factory.Core().V1().Pods().Informer().GetIndexer()}
	put := func(store cache.Store, object any) {
		if err := store.Add(object); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range nodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: nodeName(i), Labels: map[string]string{corev1.LabelHostname: nodeName(i)},
		}}
		put(factory.Core().V1().Nodes().Informer().GetStore(), node)
		c.nodeAdded(node)
		resident := workloadPod(fmt.Sprintf("resident-%d", i), "web")
		resident.Spec.NodeName = node.Name
		put(q.pods, resident)
		c.podAdded(resident)
	}
	for i := range followers {
		ds := follower(fmt.Sprintf("ds-%d", i))
		q.sets = append(q.sets, ds)
		put(factory.Apps().V1().DaemonSets().Informer().GetStore(), ds)
		c.setAdded(ds)
	}
	return q
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

func workloadPod(name, app string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "uid", Labels: map[string]string{"app": app}}}
}

// follower is a DaemonSet that runs where there are pods of the database.
func follower(name string) *appsv1.DaemonSet {
	labels := map[string]string{"daemon": name}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "uid-of-set"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Affinity: &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
					RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
						LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
						TopologyKey:   corev1.LabelHostname,
					}},
				}}},
			},
		},
	}
}

// comeAndGo lets a followed pod be created, bound and deleted.
func (q *quiet) comeAndGo(tb testing.TB, i int) {
	created := workloadPod("visitor", "db")
	bound := created.DeepCopy()
	bound.Spec.NodeName = nodeName(i % usedNodes)
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	must(q.pods.Add(created))
	q.c.podAdded(created)
	must(q.pods.Update(bound))
	q.c.podUpdated(created, bound)
	must(q.pods.Delete(bound))
	q.c.podDeleted(bound)
}

// becomeReady lets a daemon pod become ready.
func (q *quiet) becomeReady(_ testing.TB, i int) {
	pod := view.NewPod(q.sets[i%followers], "hash", nodeName(i%usedNodes), "daemon")
	ready := pod.DeepCopy()
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	q.c.podUpdated(pod, ready)
}

var podEvents = map[string]func(*quiet, testing.TB, int){"followed": (*quiet).comeAndGo, "own": (*quiet).becomeReady}

// BenchmarkPodEvent is what the controller does when a pod event comes in: it must
// cost the same however many nodes there are.
func BenchmarkPodEvent(b *testing.B) {
	for name, event := range podEvents {
		for _, nodes := range []int{50, 5000} {
			b.Run(fmt.Sprintf("%s/nodes=%d", name, nodes), func(b *testing.B) {
				q := newQuiet(b, nodes)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					event(q, b, i)
					i++
				}
			})
		}
	}
}

// What the benchmark shows, as far as it does not depend on the machine.
func TestPodEventsCostTheSameInLargeClusters(t *testing.T) {
	for name, event := range podEvents {
		allocations := func(nodes int) float64 {
			q := newQuiet(t, nodes)
			i := 0
			return testing.AllocsPerRun(1000, func() { event(q, t, i); i++ })
		}
		if few, many := allocations(50), allocations(5000); many > few+1 || few == 0 {
			t.Errorf("%s: %.0f allocations among 50 nodes, %.0f among 5,000", name, few, many)
		}
	}
}
