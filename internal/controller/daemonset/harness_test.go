package daemonset

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/server"
	"github.com/garrison-project/garrison/internal/view"
)

// shared is the API server of all tests. Each works in a namespace of its own,
// with nodes of its own.
var shared *server.Server

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "garrison-daemonset-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if shared, err = server.Start(context.Background(), server.Config{DataDir: dir}); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := shared.Shutdown(); err != nil {
		fmt.Fprintln(os.Stderr, "shutdown:", err)
		return 1
	}
	return code
}

// patienceOfTests bounds how long a test waits for what must come.
const patienceOfTests = 30 * time.Second

// bench is what one test works with: a namespace, nodes, a controller whose
// turns the test takes itself, and a part that plays scheduler and agents.
type bench struct {
	*testing.T
	client    kubernetes.Interface
	writer    *failingWriter
	c         *Controller
	events    *record.FakeRecorder
	namespace string
	key       types.NamespacedName
	// idle: nobody binds, starts or ends pods.
	idle bool
}

func newBench(t *testing.T) *bench {
	b := &bench{
		T: t, client: shared.Client(), writer: &failingWriter{Writer: shared.Writer()},
		events: record.NewFakeRecorder(1000),
	}
	ctx := t.Context()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: strings.ToLower(t.Name()) + "-"}}
	b.namespace = must(t, b.client.CoreV1().Namespaces().Create, ctx, ns).Name
	b.key = types.NamespacedName{Namespace: b.namespace, Name: "ds"}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	must(t, b.client.CoreV1().ServiceAccounts(b.namespace).Create, ctx, account)
	b.restart()
	return b
}

// restart begins with a new controller, which remembers nothing.
func (b *bench) restart() {
	informers := shared.Informers()
	c, err := New(Options{Client: b.client, Informers: informers, Writer: b.writer, Events: b.events})
	if err != nil {
		b.Fatal(err)
	}
	informers.Start(context.Background().Done()) // they end with the server
	if !cache.WaitForCacheSync(b.Context().Done(), c.synced...) {
		b.Fatal("informers do not sync")
	}
	b.c = c
}

func must[T any](t *testing.T, create func(context.Context, T, metav1.CreateOptions) (T, error), ctx context.Context, object T) T {
	t.Helper()
	created, err := create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// addNodes creates nodes that only this test's DaemonSet selects.
func (b *bench) addNodes(names ...string) {
	b.Helper()
	for _, name := range names {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: b.node(name), Labels: map[string]string{"test": b.namespace},
		}}
		created := must(b.T, b.client.CoreV1().Nodes().Create, b.Context(), node)
		created.Spec.Taints = nil // admission taints what has not yet said that it is ready
		if _, err := b.client.CoreV1().Nodes().Update(b.Context(), created, metav1.UpdateOptions{}); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			_ = b.client.CoreV1().Nodes().Delete(context.Background(), node.Name, metav1.DeleteOptions{})
		})
	}
}

// node is the full name of a node of this test.
func (b *bench) node(name string) string { return b.namespace + "-" + name }

// apply creates the DaemonSet.
func (b *bench) apply(edit func(*appsv1.DaemonSet)) *appsv1.DaemonSet {
	b.Helper()
	ds := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "ds"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "ds"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "ds"}},
				Spec: corev1.PodSpec{
					NodeSelector: map[string]string{"test": b.namespace},
					Containers:   []corev1.Container{{Name: "c", Image: "image:1"}},
				},
			},
		},
	}
	if edit != nil {
		edit(ds)
	}
	return must(b.T, b.client.AppsV1().DaemonSets(b.namespace).Create, b.Context(), ds)
}

// edit changes the DaemonSet.
func (b *bench) edit(change func(*appsv1.DaemonSet)) {
	b.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		ds := b.daemonSet()
		change(ds)
		_, err := b.client.AppsV1().DaemonSets(b.namespace).Update(b.Context(), ds, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) setImage(image string) {
	b.Helper()
	b.edit(func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = image })
}

func (b *bench) daemonSet() *appsv1.DaemonSet {
	b.Helper()
	ds, err := b.client.AppsV1().DaemonSets(b.namespace).Get(b.Context(), "ds", metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return ds
}

// pods are all pods of the namespace, by name of their target node.
func (b *bench) pods() []corev1.Pod {
	b.Helper()
	list, err := b.client.CoreV1().Pods(b.namespace).List(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	slices.SortFunc(list.Items, func(x, y corev1.Pod) int {
		return strings.Compare(target(&x)+x.Name, target(&y)+y.Name)
	})
	return list.Items
}

func target(pod *corev1.Pod) string {
	node, _ := place.PinnedNode(pod)
	return node
}

func (b *bench) revisions() []appsv1.ControllerRevision {
	b.Helper()
	list, err := b.client.AppsV1().ControllerRevisions(b.namespace).List(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	slices.SortFunc(list.Items, func(x, y appsv1.ControllerRevision) int { return int(x.Revision - y.Revision) })
	return list.Items
}

// step takes one turn.
func (b *bench) step() error {
	_, err := b.c.Step(b.Context(), b.key)
	return err
}

// until takes turns, and plays scheduler and agents, until the condition holds.
func (b *bench) until(what string, holds func() bool) {
	b.Helper()
	var last error
	err := wait.PollUntilContextTimeout(b.Context(), 2*time.Millisecond, patienceOfTests, true, func(context.Context) (bool, error) {
		last = b.step()
		if !b.idle {
			b.play()
		}
		return holds(), nil
	})
	if err != nil {
		b.Fatalf("%s: %v; last turn: %v; pods: %s; status: %+v", what, err, last, describe(b.pods()), b.daemonSet().Status)
	}
}

// complete waits for a rollout as `kubectl rollout status` does.
func (b *bench) complete() {
	b.Helper()
	b.until("rollout", func() bool {
		ds := b.daemonSet()
		st := ds.Status
		return st.ObservedGeneration == ds.Generation && st.UpdatedNumberScheduled == st.DesiredNumberScheduled &&
			st.NumberAvailable == st.DesiredNumberScheduled && len(b.pods()) == int(st.DesiredNumberScheduled)
	})
}

// play binds, starts and ends pods.
func (b *bench) play() {
	b.Helper()
	for _, pod := range b.pods() {
		switch {
		case pod.DeletionTimestamp != nil:
			b.end(&pod)
		case pod.Spec.NodeName == "" && target(&pod) != "":
			binding := &corev1.Binding{
				ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
				Target:     corev1.ObjectReference{Kind: "Node", Name: target(&pod)},
			}
			_ = shared.Writer().BindPod(b.Context(), binding) // it may have gone
		case pod.Status.Phase == corev1.PodPending && !strings.Contains(pod.Spec.Containers[0].Image, "non-existent"):
			b.setPhase(&pod, corev1.PodRunning)
		}
	}
}

// end ends a pod that is being deleted, as its agent does.
func (b *bench) end(pod *corev1.Pod) {
	options := metav1.NewPreconditionDeleteOptions(string(pod.UID))
	options.GracePeriodSeconds = new(int64)
	_ = b.client.CoreV1().Pods(pod.Namespace).Delete(b.Context(), pod.Name, *options)
}

func (b *bench) setPhase(pod *corev1.Pod, phase corev1.PodPhase) {
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.Now()}
	if phase == corev1.PodRunning {
		ready.Status = corev1.ConditionTrue
	}
	pod.Status.Phase, pod.Status.Conditions = phase, []corev1.PodCondition{ready}
	_, _ = b.client.CoreV1().Pods(pod.Namespace).UpdateStatus(b.Context(), pod, metav1.UpdateOptions{})
}

func describe(pods []corev1.Pod) string {
	var all []string
	for _, p := range pods {
		all = append(all, fmt.Sprintf("%s on %s hash=%s phase=%s going=%t", p.Name, target(&p),
			p.Labels[appsv1.DefaultDaemonSetUniqueLabelKey], p.Status.Phase, p.DeletionTimestamp != nil))
	}
	return strings.Join(all, "; ")
}

// names maps target nodes to pod names.
func names(pods []corev1.Pod) map[string]string {
	byNode := map[string]string{}
	for _, p := range pods {
		byNode[target(&p)] = p.Name
	}
	return byNode
}

// told drains the events recorded so far.
func (b *bench) told() []string {
	var all []string
	for {
		select {
		case e := <-b.events.Events:
			all = append(all, e)
		default:
			return all
		}
	}
}

// controls reports whether the DaemonSet of the test controls a pod.
func (b *bench) controls(pod *corev1.Pod) bool { return view.Controls(b.daemonSet(), pod) }

// failingWriter fails creates on demand, and counts them.
type failingWriter struct {
	Writer
	refuse  func(*corev1.Pod) error
	creates atomic.Int64
}

func (w *failingWriter) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	if w.refuse != nil {
		w.creates.Add(1)
		if err := w.refuse(pod); err != nil {
			return nil, err
		}
	}
	return w.Writer.CreatePod(ctx, pod)
}
