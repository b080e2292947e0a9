package nodelife_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/apitest"
	"github.com/garrison-project/garrison/internal/controller/nodelife"
)

var (
	api *apitest.API
	// now is the controller's clock. It runs, and can be put forward.
	now *clocktesting.FakeClock
)

func TestMain(m *testing.M) {
	now = clocktesting.NewFakeClock(time.Now())
	os.Exit(apitest.Main(m, func(a *apitest.API) ([]apitest.Part, error) {
		api = a
		controller, err := nodelife.New(nodelife.Options{Client: a.Client(), Informers: a.Informers(), Writer: a.Writer(), Clock: now})
		return []apitest.Part{ticking{}, controller}, err
	}))
}

// ticking lets the clock run.
type ticking struct{}

func (ticking) Run(ctx context.Context) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			now.Step(5 * time.Millisecond)
		}
	}
}

// createNode creates a ready node in a zone of the test's own.
func createNode(t *testing.T, name string) string {
	t.Helper()
	zone := strings.ToLower(t.Name())
	node, err := api.Client().CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-", Labels: map[string]string{corev1.LabelTopologyZone: zone}},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.NewTime(now.Now())},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Client().CoreV1().Nodes().Delete(context.Background(), node.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	apitest.Eventually(t, func() error { return tainted(t, node.Name) })
	return node.Name
}

// tainted checks that a node has exactly these taints, as KEY:EFFECT.
func tainted(t *testing.T, name string, want ...string) error {
	node, err := api.Client().CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	var got []string
	for _, taint := range node.Spec.Taints {
		got = append(got, fmt.Sprintf("%s:%s", strings.TrimPrefix(taint.Key, "node.kubernetes.io/"), taint.Effect))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("node %s has taints %v, want %v", name, got, want)
	}
	return nil
}

// setReady writes the Ready condition as an agent would.
func setReady(t *testing.T, name string, status corev1.ConditionStatus) {
	t.Helper()
	edit(t, name, func(node *corev1.Node) {
		for i := range node.Status.Conditions {
			if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady {
				c.Status, c.LastHeartbeatTime = status, metav1.NewTime(now.Now().Add(time.Second))
			}
		}
	})
}

// edit changes a node, its status too.
func edit(t *testing.T, name string, change func(*corev1.Node)) {
	t.Helper()
	nodes := api.Client().CoreV1().Nodes()
	for _, write := range []func(context.Context, *corev1.Node, metav1.UpdateOptions) (*corev1.Node, error){nodes.Update, nodes.UpdateStatus} {
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			node, err := nodes.Get(t.Context(), name, metav1.GetOptions{})
			if err == nil {
				change(node)
				_, err = write(t.Context(), node, metav1.UpdateOptions{})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// createPod creates a pod that is ready.
func createPod(t *testing.T, namespace, name, node string, tolerations ...corev1.Toleration) {
	t.Helper()
	pod, err := api.Writer().CreatePod(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			NodeName: node, Tolerations: tolerations,
			Containers: []corev1.Container{{Name: "main", Image: "pause:3"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if _, err := api.Writer().UpdatePodStatus(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}

// podCondition checks the status and reason of a condition of a pod.
func podCondition(t *testing.T, namespace, name string, want corev1.PodCondition) error {
	pod, err := api.Client().CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == want.Type && c.Status == want.Status && c.Reason == want.Reason {
			return nil
		}
	}
	return fmt.Errorf("pod %s has conditions %v", name, pod.Status.Conditions)
}

// events counts the events about an object by reason and message. Those about
// nodes are in the namespace default.
func events(t *testing.T, namespace, name string) map[string]int {
	t.Helper()
	list, err := api.Client().CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, e := range list.Items {
		found[e.Reason+": "+e.Message]++
	}
	return found
}

func hasEvent(t *testing.T, namespace, name, text string) error {
	t.Helper()
	if found := events(t, namespace, name); found[text] != 1 {
		return fmt.Errorf("events of %s: %v, want %q", name, slices.Sorted(maps.Keys(found)), text)
	}
	return nil
}

func TestNodeThatSaysItIsNotReady(t *testing.T) {
	ns := api.Namespace(t)
	bad, good := createNode(t, "bad"), createNode(t, "good")
	createPod(t, ns, "on-bad", bad)
	createPod(t, ns, "on-good", good)
	setReady(t, bad, corev1.ConditionFalse)
	apitest.Eventually(t, func() error { return tainted(t, bad, "not-ready:NoExecute", "not-ready:NoSchedule") })
	apitest.Eventually(t, func() error {
		return podCondition(t, ns, "on-bad", corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse})
	})
	apitest.Eventually(t, func() error { return hasEvent(t, ns, "on-bad", "NodeNotReady: Node is not ready") })
	apitest.Eventually(t, func() error {
		return hasEvent(t, "default", bad, fmt.Sprintf("NodeNotReady: Node %s status is now: NodeNotReady", bad))
	})
	setReady(t, bad, corev1.ConditionTrue)
	apitest.Eventually(t, func() error { return tainted(t, bad) })
	if err := podCondition(t, ns, "on-good", corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}); err != nil {
		t.Error(err)
	}
}

func TestNodeThatFallsSilent(t *testing.T) {
	ns := api.Namespace(t)
	node := createNode(t, "silent")
	createPod(t, ns, "pod", node)
	now.Step(51 * time.Second)
	apitest.Eventually(t, func() error { return tainted(t, node, "unreachable:NoSchedule") })
	apitest.Eventually(t, func() error {
		return podCondition(t, ns, "pod", corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse})
	})
	silent, err := api.Client().CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		if !slices.ContainsFunc(silent.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == kind && c.Status == corev1.ConditionUnknown && strings.HasPrefix(c.Reason, "NodeStatus")
		}) {
			t.Errorf("no Unknown %s in %v", kind, silent.Status.Conditions)
		}
	}
	setReady(t, node, corev1.ConditionTrue)
	apitest.Eventually(t, func() error { return tainted(t, node) })
}

func TestTaintsEvict(t *testing.T) {
	ns := api.Namespace(t)
	node := createNode(t, "tainted")
	createPod(t, ns, "intolerant", node)
	createPod(t, ns, "patient", node, corev1.Toleration{Key: "dedicated", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](300)})
	createPod(t, ns, "tolerant", node, corev1.Toleration{Operator: corev1.TolerationOpExists})
	edit(t, node, func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoExecute}}
	})
	evicted := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager"}
	apitest.Eventually(t, func() error { return leaving(t, ns, "intolerant") })
	if err := podCondition(t, ns, "intolerant", evicted); err != nil {
		t.Error(err)
	}
	apitest.Eventually(t, func() error {
		return hasEvent(t, ns, "intolerant", fmt.Sprintf("TaintManagerEviction: Marking for deletion Pod %s/intolerant", ns))
	})
	apitest.Throughout(t, 100*time.Millisecond, func() error { return staying(t, ns, "patient", "tolerant") })
	now.Step(301 * time.Second)
	apitest.Eventually(t, func() error { return leaving(t, ns, "patient") })
	apitest.Throughout(t, 100*time.Millisecond, func() error { return staying(t, ns, "tolerant") })
}

func leaving(t *testing.T, namespace, name string) error {
	pod, err := api.Client().CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err == nil && pod.DeletionTimestamp == nil {
		err = fmt.Errorf("pod %s stays", name)
	}
	return err
}

func staying(t *testing.T, namespace string, names ...string) error {
	for _, name := range names {
		if leaving(t, namespace, name) == nil {
			return fmt.Errorf("pod %s leaves", name)
		}
	}
	return nil
}

func TestEvictionIsCancelled(t *testing.T) {
	ns := api.Namespace(t)
	node := createNode(t, "tainted")
	createPod(t, ns, "spared", node, corev1.Toleration{Key: "dedicated", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](300)})
	createPod(t, ns, "canary", node)
	edit(t, node, func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoExecute}}
	})
	apitest.Eventually(t, func() error { return leaving(t, ns, "canary") }) // the taint has been seen
	edit(t, node, func(n *corev1.Node) { n.Spec.Taints = nil })
	apitest.Eventually(t, func() error {
		return hasEvent(t, ns, "spared", fmt.Sprintf("TaintManagerEviction: Cancelling deletion of Pod %s/spared", ns))
	})
	now.Step(301 * time.Second)
	apitest.Throughout(t, 200*time.Millisecond, func() error { return staying(t, ns, "spared") })
}

func TestCordonTaints(t *testing.T) {
	node := createNode(t, "cordoned")
	edit(t, node, func(n *corev1.Node) { n.Spec.Unschedulable = true })
	apitest.Eventually(t, func() error { return tainted(t, node, "unschedulable:NoSchedule") })
	edit(t, node, func(n *corev1.Node) { n.Spec.Unschedulable = false })
	apitest.Eventually(t, func() error { return tainted(t, node) })
}

func TestNodesComeAndGo(t *testing.T) {
	nodes := api.Client().CoreV1().Nodes()
	node, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "visitor-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, func() error {
		return hasEvent(t, "default", node.Name, fmt.Sprintf("RegisteredNode: Node %[1]s event: Registered Node %[1]s in Controller", node.Name))
	})
	if err := nodes.Delete(t.Context(), node.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, func() error {
		return hasEvent(t, "default", node.Name, fmt.Sprintf("RemovingNode: Node %[1]s event: Removing Node %[1]s from Controller", node.Name))
	})
}
