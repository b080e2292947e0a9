package simulated

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// clientWriter is a Writer over a client that counts what it writes.
type clientWriter struct {
	kubernetes.Interface
	podStatuses, leaseWrites atomic.Int64
}

func (w *clientWriter) UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	w.podStatuses.Add(1)
	return w.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
}

func (w *clientWriter) DeletePod(ctx context.Context, name types.NamespacedName, options metav1.DeleteOptions) error {
	return w.CoreV1().Pods(name.Namespace).Delete(ctx, name.Name, options)
}

func (w *clientWriter) UpdateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return w.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
}

func (w *clientWriter) CreateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	w.leaseWrites.Add(1)
	return w.CoordinationV1().Leases(lease.Namespace).Create(ctx, lease, metav1.CreateOptions{})
}

func (w *clientWriter) UpdateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	w.leaseWrites.Add(1)
	return w.CoordinationV1().Leases(lease.Namespace).Update(ctx, lease, metav1.UpdateOptions{})
}

// play runs an agent over a fake API, in time that passes at once, until body
// returns. A grace of 0 is the default.
func play(t *testing.T, grace time.Duration, body func(ctx context.Context, client *fake.Clientset, writes *clientWriter)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := fake.NewClientset()
		factory := informers.NewSharedInformerFactory(client, 0)
		writer := &clientWriter{Interface: client}
		agent, err := New(Options{Client: client, Informers: factory, Writer: writer, GracePeriod: grace})
		if err != nil {
			t.Fatal(err)
		}
		factory.Start(ctx.Done())
		ended := make(chan struct{})
		go func() { defer close(ended); agent.Run(ctx) }()
		body(ctx, client, writer)
		cancel()
		<-ended
		factory.Shutdown()
	})
}

// settle lets everything happen that can happen now, and a little later.
func settle() {
	for range 10 {
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
	}
}

func simNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Annotations: map[string]string{Annotation: "true"}}}
}

func boundPod(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec: corev1.PodSpec{
			NodeName: node, RestartPolicy: corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{Name: "main", Image: "pause:3"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
}

func must[T any](object T, err error) T {
	if err != nil {
		panic(err)
	}
	return object
}

func TestPodsRunWhicheverComesFirst(t *testing.T) {
	play(t, 0, func(ctx context.Context, client *fake.Clientset, writes *clientWriter) {
		pods, nodes := client.CoreV1().Pods("default"), client.CoreV1().Nodes()
		must(pods.Create(ctx, boundPod("early", "n1"), metav1.CreateOptions{}))
		settle()
		must(nodes.Create(ctx, simNode("n1"), metav1.CreateOptions{}))
		settle()
		must(pods.Create(ctx, boundPod("late", "n1"), metav1.CreateOptions{}))
		must(pods.Create(ctx, boundPod("elsewhere", "real"), metav1.CreateOptions{}))
		settle()
		early, late := must(pods.Get(ctx, "early", metav1.GetOptions{})), must(pods.Get(ctx, "late", metav1.GetOptions{}))
		for _, pod := range []*corev1.Pod{early, late} {
			if pod.Status.Phase != corev1.PodRunning {
				t.Errorf("pod %s is %s, want Running", pod.Name, pod.Status.Phase)
			}
		}
		if early.Status.PodIP == late.Status.PodIP {
			t.Errorf("two pods share the address %s", early.Status.PodIP)
		}
		if phase := must(pods.Get(ctx, "elsewhere", metav1.GetOptions{})).Status.Phase; phase != corev1.PodPending {
			t.Errorf("the pod of a real node is %s", phase)
		}
		if n := writes.podStatuses.Load(); n != 2 {
			t.Errorf("%d status writes for 2 pods", n)
		}
	})
}

func TestTerminatingPodIsDeleted(t *testing.T) {
	play(t, 0, func(ctx context.Context, client *fake.Clientset, _ *clientWriter) {
		pods := client.CoreV1().Pods("default")
		must(client.CoreV1().Nodes().Create(ctx, simNode("n1"), metav1.CreateOptions{}))
		pod := boundPod("p", "n1")
		pod.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 20}}}
		must(pods.Create(ctx, pod, metav1.CreateOptions{}))
		settle()
		pod = must(pods.Get(ctx, "p", metav1.GetOptions{}))
		end, grace := metav1.NewTime(time.Now().Add(30*time.Second)), int64(30)
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &end, &grace
		must(pods.Update(ctx, pod, metav1.UpdateOptions{}))
		time.Sleep(19 * time.Second)
		synctest.Wait()
		must(pods.Get(ctx, "p", metav1.GetOptions{}))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, err := pods.Get(ctx, "p", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("after the preStop hook the pod is still there: %v", err)
		}
	})
}

func TestImageFailureIsReported(t *testing.T) {
	play(t, 0, func(ctx context.Context, client *fake.Clientset, _ *clientWriter) {
		must(client.CoreV1().Nodes().Create(ctx, simNode("n1"), metav1.CreateOptions{}))
		pod := boundPod("p", "n1")
		pod.Spec.Containers[0].Image = "foo:non-existent"
		must(client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		waiting := must(client.CoreV1().Pods("default").Get(ctx, "p", metav1.GetOptions{})).Status.ContainerStatuses[0].State.Waiting
		if waiting == nil || waiting.Reason != "ImagePullBackOff" {
			t.Errorf("container state %v, want ImagePullBackOff", waiting)
		}
		var reasons []string
		// Not from a list: in a bubble the clock stands still, and events are
		// named after the time.
		for _, action := range client.Actions() {
			create, ok := action.(clienttesting.CreateAction)
			if !ok || action.GetResource().Resource != "events" {
				continue
			}
			event := create.GetObject().(*corev1.Event)
			reasons = append(reasons, event.Reason)
			if event.Source.Component != "kubelet" || event.Source.Host != "n1" {
				t.Errorf("event of %v", event.Source)
			}
		}
		slices.Sort(reasons)
		if want := []string{"BackOff", "Failed", "Failed", "Failed", "Pulling"}; !slices.Equal(reasons, want) {
			t.Errorf("events %v, want %v", reasons, want)
		}
	})
}

func TestLeases(t *testing.T) {
	for _, c := range []struct {
		nodes        int
		grace, every time.Duration
	}{{3, 0, renewOften}, {fewNodes + 1, 0, renewSeldom}, {3, 5 * time.Second, 2 * time.Second}} {
		t.Run(fmt.Sprint(c.nodes, " nodes, grace ", c.grace), func(t *testing.T) {
			play(t, c.grace, func(ctx context.Context, client *fake.Clientset, writes *clientWriter) {
				// A lease that was there before is taken over.
				old := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "n0", Labels: map[string]string{"kept": "yes"}}}
				must(client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(ctx, old, metav1.CreateOptions{}))
				for i := range c.nodes {
					must(client.CoreV1().Nodes().Create(ctx, simNode(fmt.Sprintf("n%d", i)), metav1.CreateOptions{}))
				}
				time.Sleep(2 * renewSeldom) // the first renewals come early, to spread
				synctest.Wait()
				before := writes.leaseWrites.Load()
				const rounds = 3
				time.Sleep(rounds * c.every)
				synctest.Wait()
				if n := writes.leaseWrites.Load() - before; n != int64(rounds*c.nodes) {
					t.Errorf("%d renewals of %d leases in %d rounds", n, c.nodes, rounds)
				}
				lease := must(client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, "n0", metav1.GetOptions{}))
				if lease.Labels["kept"] != "yes" || *lease.Spec.LeaseDurationSeconds != 40 || *lease.Spec.HolderIdentity != "n0" || lease.OwnerReferences[0].UID != "uid-n0" {
					t.Errorf("lease %v", lease)
				}
				if age := time.Since(lease.Spec.RenewTime.Time); age > c.every {
					t.Errorf("lease renewed %v ago", age)
				}
			})
		})
	}
}

func TestNodeWithoutAnnotationFallsSilent(t *testing.T) {
	play(t, 0, func(ctx context.Context, client *fake.Clientset, writes *clientWriter) {
		must(client.CoreV1().Nodes().Create(ctx, simNode("n1"), metav1.CreateOptions{}))
		settle()
		node := must(client.CoreV1().Nodes().Get(ctx, "n1", metav1.GetOptions{}))
		if !nodeReady(node) {
			t.Fatal("the node is not ready")
		}
		node.Annotations = nil
		must(client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{}))
		settle()
		before := writes.leaseWrites.Load()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := writes.leaseWrites.Load() - before; n != 0 {
			t.Errorf("%d renewals for a node that is not simulated", n)
		}
		// Simulated again, it is heard again.
		node = must(client.CoreV1().Nodes().Get(ctx, "n1", metav1.GetOptions{}))
		node.Annotations = map[string]string{Annotation: "true"}
		must(client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{}))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := writes.leaseWrites.Load() - before; n < 5 {
			t.Errorf("%d renewals in a minute", n)
		}
	})
}

func TestCreateNodes(t *testing.T) {
	client := fake.NewClientset()
	for range 2 { // a second start finds them
		if err := CreateNodes(t.Context(), client, 70); err != nil {
			t.Fatal(err)
		}
	}
	nodes := must(client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})).Items
	if len(nodes) != 70 {
		t.Fatalf("%d nodes", len(nodes))
	}
	zones, addresses := map[string]int{}, map[string]bool{}
	for _, node := range nodes {
		zones[node.Labels[corev1.LabelTopologyZone]]++
		addresses[addressesOf(&node, corev1.NodeInternalIP)[0]] = true
		view := nodeView{Node: &node, Version: kubeletVersion(), Now: time.Now()}
		if status := nodeStatus(view); status != nil {
			t.Errorf("node %s needs another write: %v", node.Name, status)
		}
	}
	if len(zones) != 3 || zones["zone-a"] != 24 || len(addresses) != 70 {
		t.Errorf("zones %v, %d addresses", zones, len(addresses))
	}
	if nodes[0].Name != "sim-0001" || nodes[69].Name != "sim-0070" {
		t.Errorf("names from %s to %s", nodes[0].Name, nodes[69].Name)
	}
}
