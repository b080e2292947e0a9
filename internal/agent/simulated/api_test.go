package simulated_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"

	"github.com/garrison-project/garrison/internal/agent/simulated"
	"github.com/garrison-project/garrison/internal/apitest"
	"github.com/garrison-project/garrison/internal/podstatus"
)

var api *apitest.API

func TestMain(m *testing.M) {
	os.Exit(apitest.Main(m, func(a *apitest.API) ([]apitest.Part, error) {
		api = a
		agent, err := simulated.New(simulated.Options{Client: a.Client(), Informers: a.Informers(), Writer: a.Writer()})
		return []apitest.Part{agent}, err
	}))
}

func nodes(t testing.TB, n int) {
	t.Helper()
	if err := simulated.CreateNodes(t.Context(), api.Client(), n); err != nil {
		t.Fatal(err)
	}
}

func newPod(namespace, name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "main", Image: "pause:3"}}},
	}
}

func getPod(t *testing.T, namespace, name string) (*corev1.Pod, error) {
	return api.Client().CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
}

func TestAPodsLife(t *testing.T) {
	nodes(t, 1)
	ns := api.Namespace(t)
	apitest.Must(t)(api.Writer().CreatePod(t.Context(), newPod(ns, "pod", "sim-0001")))
	apitest.Eventually(t, func() error {
		pod, err := getPod(t, ns, "pod")
		if err == nil && (pod.Status.Phase != corev1.PodRunning || !podstatus.IsReady(&pod.Status) || pod.Status.HostIP != "10.0.0.1") {
			err = fmt.Errorf("status %v", pod.Status)
		}
		return err
	})
	if err := api.Client().CoreV1().Pods(ns).Delete(t.Context(), "pod", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, func() error { return apitest.Gone(getPod(t, ns, "pod")) })
}

func TestWrittenPhaseStays(t *testing.T) {
	nodes(t, 1)
	ns := api.Namespace(t)
	pod := newPod(ns, "pod", "sim-0001")
	pod.Finalizers = []string{"example.com/hold"}
	apitest.Must(t)(api.Writer().CreatePod(t.Context(), pod))
	err := retry.OnError(retry.DefaultBackoff, func(error) bool { return true }, func() error {
		pod, err := getPod(t, ns, "pod")
		if err == nil {
			pod.Status.Phase = corev1.PodFailed
			_, err = api.Client().CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	apitest.Throughout(t, 200*time.Millisecond, func() error {
		pod, err := getPod(t, ns, "pod")
		if err == nil && pod.Status.Phase != corev1.PodFailed {
			err = fmt.Errorf("phase %s", pod.Status.Phase)
		}
		return err
	})
}

func TestPodWithFinalizerEndsTerminal(t *testing.T) {
	nodes(t, 1)
	ns := api.Namespace(t)
	pod := newPod(ns, "pod", "sim-0001")
	pod.Finalizers = []string{"example.com/hold"}
	apitest.Must(t)(api.Writer().CreatePod(t.Context(), pod))
	if err := api.Client().CoreV1().Pods(ns).Delete(t.Context(), "pod", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, func() error {
		pod, err := getPod(t, ns, "pod")
		if err == nil && (pod.Status.Phase != corev1.PodSucceeded || *pod.DeletionGracePeriodSeconds != 0) {
			err = fmt.Errorf("phase %s, grace %d", pod.Status.Phase, *pod.DeletionGracePeriodSeconds)
		}
		return err
	})
	pod, err := getPod(t, ns, "pod")
	if err != nil {
		t.Fatal(err)
	}
	pod.Finalizers = nil
	apitest.Must(t)(api.Client().CoreV1().Pods(ns).Update(t.Context(), pod, metav1.UpdateOptions{}))
	apitest.Eventually(t, func() error { return apitest.Gone(getPod(t, ns, "pod")) })
}

func TestAdoptedNode(t *testing.T) {
	client := api.Client().CoreV1().Nodes()
	bare := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "adopted-", Annotations: map[string]string{simulated.Annotation: "true"}}}
	node, err := client.Create(t.Context(), bare, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := node.Name
	apitest.Eventually(t, func() error {
		if node, err = client.Get(t.Context(), name, metav1.GetOptions{}); err == nil && len(node.Status.Addresses) != 2 {
			err = fmt.Errorf("status %v", node.Status)
		}
		return err
	})
	apitest.Eventually(t, func() error {
		_, err := api.Client().CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), name, metav1.GetOptions{})
		return err
	})
	// As a test of upstream's does: no resourceVersion, a resource of its own.
	node.ResourceVersion = ""
	node.Status.Capacity["example.com/fakecpu"] = resource.MustParse("1000")
	apitest.Must(t)(client.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}))
	apitest.Eventually(t, func() error {
		node, err := client.Get(t.Context(), name, metav1.GetOptions{})
		if got := node.Status.Allocatable["example.com/fakecpu"]; err == nil && got.Value() != 1000 {
			err = errors.New("allocatable does not follow")
		}
		return err
	})
}

// BenchmarkPods brings 1,000 bound pods to Ready, and ends them.
func BenchmarkPods(b *testing.B) {
	const pods = 1000
	nodes(b, 100)
	ns := api.Namespace(b)
	ctx := b.Context()
	for b.Loop() {
		started := time.Now()
		workqueue.ParallelizeUntil(ctx, 32, pods, func(i int) {
			if _, err := api.Writer().CreatePod(ctx, newPod(ns, fmt.Sprint("pod-", i), fmt.Sprintf("sim-%04d", i%100+1))); err != nil {
				b.Error(err)
			}
		})
		created := time.Now()
		await(b, ns, func(list *corev1.PodList) bool {
			for i := range list.Items {
				if !podstatus.IsReady(&list.Items[i].Status) {
					return false
				}
			}
			return len(list.Items) == pods
		})
		ready := time.Now()
		workqueue.ParallelizeUntil(ctx, 32, pods, func(i int) {
			if err := api.Client().CoreV1().Pods(ns).Delete(ctx, fmt.Sprint("pod-", i), metav1.DeleteOptions{}); err != nil {
				b.Error(err)
			}
		})
		await(b, ns, func(list *corev1.PodList) bool { return len(list.Items) == 0 })
		b.ReportMetric(created.Sub(started).Seconds(), "s-create")
		b.ReportMetric(ready.Sub(created).Seconds(), "s-ready")
		b.ReportMetric(time.Since(ready).Seconds(), "s-delete")
	}
}

func await(b *testing.B, namespace string, done func(*corev1.PodList) bool) {
	b.Helper()
	for {
		list, err := api.Client().CoreV1().Pods(namespace).List(b.Context(), metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			b.Fatal(err)
		}
		if done(list) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
