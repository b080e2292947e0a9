package daemonset

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// run runs the controller until the test ends.
func (b *bench) run() {
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { b.c.Run(ctx) })
	b.Cleanup(func() {
		stop()
		running.Wait()
	})
}

// await waits, with the controller running, until the condition holds.
func (b *bench) await(what string, holds func() bool) {
	b.Helper()
	err := wait.PollUntilContextTimeout(b.Context(), 5*time.Millisecond, patienceOfTests, true, func(context.Context) (bool, error) {
		if !b.idle {
			b.play()
		}
		return holds(), nil
	})
	if err != nil {
		b.Fatalf("%s: %v; pods: %s; status: %+v", what, err, describe(b.pods()), b.daemonSet().Status)
	}
}

func (b *bench) patchNode(name, patch string) {
	b.Helper()
	_, err := b.client.CoreV1().Nodes().Patch(b.Context(), b.node(name), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		b.Fatal(err)
	}
}

// hasPods waits until exactly the given nodes have a pod that is not going, and
// the status says so.
func (b *bench) hasPods(nodes ...string) {
	b.Helper()
	b.await(fmt.Sprintf("pods on %v", nodes), func() bool {
		found := map[string]bool{}
		for _, p := range b.pods() {
			if p.DeletionTimestamp == nil && b.controls(&p) {
				found[target(&p)] = true
			}
		}
		for _, name := range nodes {
			if !found[b.node(name)] {
				return false
			}
		}
		return len(found) == len(nodes) && int(b.daemonSet().Status.DesiredNumberScheduled) == len(nodes)
	})
}

// Every event that matters brings a turn, with nothing else to prompt it.
func TestTriggers(t *testing.T) {
	b := newBench(t)
	b.run()
	b.addNodes("a")
	b.apply(nil)
	b.hasPods("a")
	b.addNodes("b")
	b.hasPods("a", "b")
	b.patchNode("a", `{"metadata":{"labels":{"test":null}}}`)
	b.hasPods("b")
	b.patchNode("a", fmt.Sprintf(`{"metadata":{"labels":{"test":%q}}}`, b.namespace))
	b.hasPods("a", "b")
	b.patchNode("a", `{"spec":{"taints":[{"key":"k","effect":"NoExecute"}]}}`)
	b.hasPods("b")
	b.patchNode("a", `{"spec":{"taints":null}}`)
	b.hasPods("a", "b")

	pod := b.pods()[0]
	if err := b.client.CoreV1().Pods(b.namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.await("replacement", func() bool {
		name := names(b.pods())[target(&pod)]
		return name != "" && name != pod.Name
	})
	b.setImage("image:2")
	b.await("update", func() bool {
		ds := b.daemonSet()
		return ds.Status.ObservedGeneration == 2 && ds.Status.UpdatedNumberScheduled == 2 && ds.Status.NumberAvailable == 2
	})
}

// Sharp edge 3: deleting a node is an event, and its unbound pod goes.
func TestNodeDeletion(t *testing.T) {
	b := newBench(t)
	b.idle = true
	b.run()
	b.addNodes("a", "b")
	b.apply(nil)
	b.hasPods("a", "b")
	if err := b.client.CoreV1().Nodes().Delete(t.Context(), b.node("a"), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.hasPods("b")
}

// Sharp edge 4: an unbound pod goes when its node stops qualifying.
func TestUnboundPodLeaves(t *testing.T) {
	b := newBench(t)
	b.idle = true
	b.run()
	b.addNodes("a")
	b.apply(nil)
	b.hasPods("a")
	b.patchNode("a", `{"metadata":{"labels":{"test":null}}}`)
	b.hasPods()
}

// minReadySeconds passes without an event; the turn after it comes by itself.
func TestTimeAloneWakes(t *testing.T) {
	b := newBench(t)
	b.run()
	b.addNodes("a")
	b.apply(func(ds *appsv1.DaemonSet) { ds.Spec.MinReadySeconds = 1 })
	b.await("ready", func() bool { return b.daemonSet().Status.NumberReady == 1 })
	b.await("available", func() bool { return b.daemonSet().Status.NumberAvailable == 1 })
}

// A revision that someone adds for a DaemonSet brings no turn: clients expect
// to see two revisions for a while.
func TestAddedRevisionIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.addNodes("a")
	b.apply(nil)
	b.complete()
	b.until("rest", func() bool { return b.step() == nil && len(b.c.memoryOf(b.key, b.daemonSet().UID).ledger.open) == 0 })
	b.c.pacer.begin(b.key)
	b.c.pacer.end(b.key, 0)
	owned := b.revisions()[0].DeepCopy()
	owned.Name = "ds-other"
	b.c.revisionAdded(owned)
	if b.c.pacer.keys[b.key].queued {
		t.Error("an owned revision brought a turn")
	}
	owned.OwnerReferences = nil
	b.c.revisionAdded(owned)
	if !b.c.pacer.keys[b.key].queued {
		t.Error("an orphaned revision brought no turn")
	}
}

// Heartbeats, nodes that join with the usual taints, and changes of pods that no
// plan reads bring no turn.
func TestIdleEvents(t *testing.T) {
	b := newBench(t)
	b.addNodes("a")
	b.apply(nil)
	b.complete()
	b.until("rest", func() bool { return b.step() == nil && len(b.c.memoryOf(b.key, b.daemonSet().UID).ledger.open) == 0 })
	b.c.pacer.begin(b.key)
	b.c.pacer.end(b.key, 0)
	queued := func() bool { return b.c.pacer.keys[b.key].queued }

	pod := b.pods()[0]
	moved := pod.DeepCopy()
	moved.Status.PodIP = "10.0.0.1"
	b.c.podUpdated(&pod, moved)
	node, err := b.client.CoreV1().Nodes().Get(t.Context(), b.node("a"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	alive := node.DeepCopy()
	alive.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}}
	b.c.nodeUpdated(node, alive)
	joining := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: b.node("joining"), Labels: node.Labels}}
	joining.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}
	b.c.nodeAdded(joining)
	if queued() {
		t.Error("an event that changes nothing brought a turn")
	}
	ill := alive.DeepCopy()
	ill.Status.Conditions[0].Status, ill.Status.Conditions[0].LastTransitionTime = corev1.ConditionUnknown, metav1.Now()
	b.c.nodeUpdated(alive, ill)
	if !queued() {
		t.Error("a node that went bad brought no turn")
	}
}
