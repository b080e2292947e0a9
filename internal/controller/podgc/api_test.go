package podgc_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/apitest"
	"github.com/garrison-project/garrison/internal/controller/podgc"
)

const quarantine = 300 * time.Millisecond

var api *apitest.API

func TestMain(m *testing.M) {
	os.Exit(apitest.Main(m, func(a *apitest.API) ([]apitest.Part, error) {
		api = a
		collector, err := podgc.New(podgc.Options{
			Client: a.Client(), Informers: a.Informers(), Writer: a.Writer(),
			Period: 200 * time.Millisecond, Quarantine: quarantine,
		})
		return []apitest.Part{collector}, err
	}))
}

func createNode(t *testing.T, name string, ready corev1.ConditionStatus, taints ...corev1.Taint) {
	t.Helper()
	node, err := api.Client().CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name},
		Spec:       corev1.NodeSpec{Taints: taints},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nodes[name] = node.Name
}

// nodes are the names that nodes were given by the names they were asked for.
var nodes = map[string]string{}

func createPod(t *testing.T, namespace, node string, finalizers ...string) {
	t.Helper()
	_, err := api.Writer().CreatePod(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pod", Finalizers: finalizers},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "main", Image: "pause:3"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func getPod(t *testing.T, namespace string) (*corev1.Pod, error) {
	return api.Client().CoreV1().Pods(namespace).Get(t.Context(), "pod", metav1.GetOptions{})
}

func TestPodOfDeletedNode(t *testing.T) {
	ns := api.Namespace(t)
	createNode(t, "leaving-", corev1.ConditionTrue)
	createPod(t, ns, nodes["leaving-"], "example.com/hold")
	deleted := time.Now()
	if err := api.Client().CoreV1().Nodes().Delete(t.Context(), nodes["leaving-"], metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, func() error {
		pod, err := getPod(t, ns)
		if err == nil && (pod.Status.Phase != corev1.PodFailed || pod.DeletionTimestamp == nil) {
			err = fmt.Errorf("pod is %s, deleted %v", pod.Status.Phase, pod.DeletionTimestamp)
		}
		return err
	})
	if waited := time.Since(deleted); waited < quarantine {
		t.Errorf("the pod went %v after its node, in quarantine", waited)
	}
	pod, err := getPod(t, ns)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Reason == "DeletionByPodGC" {
			return
		}
	}
	t.Errorf("conditions %v", pod.Status.Conditions)
}

func TestPodBoundToNodeThatNeverWas(t *testing.T) {
	ns := api.Namespace(t)
	createPod(t, ns, "nowhere")
	apitest.Eventually(t, func() error { return apitest.Gone(getPod(t, ns)) })
}

func TestNodeThatComesBackKeepsItsPods(t *testing.T) {
	ns := api.Namespace(t)
	createPod(t, ns, "returning")
	apitest.Must(t)(api.Client().CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "returning"}}, metav1.CreateOptions{}))
	apitest.Throughout(t, 3*quarantine, func() error { _, err := getPod(t, ns); return err })
	if err := api.Client().CoreV1().Nodes().Delete(t.Context(), "returning", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestOutOfServiceNode(t *testing.T) {
	ns := api.Namespace(t)
	createNode(t, "dead-", corev1.ConditionUnknown, corev1.Taint{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute})
	createPod(t, ns, nodes["dead-"])
	apitest.Throughout(t, 2*quarantine, func() error { _, err := getPod(t, ns); return err })
	if err := api.Client().CoreV1().Pods(ns).Delete(t.Context(), "pod", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, func() error { return apitest.Gone(getPod(t, ns)) })
}
