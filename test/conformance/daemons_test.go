package conformance

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// nodeDaemons are what upstream's own clusters run on each node. Before each
// spec of preemption and priorities it waits for them, and goes on after a
// minute when they are missing.
var nodeDaemons = []string{"fluentd-elasticsearch", "kube-proxy", "node-problem-detector"}

// runNodeDaemons gives every node these daemons, so that nothing is waited for
// in vain.
func runNodeDaemons(t *testing.T, kubeconfig string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	daemons := client.AppsV1().DaemonSets(metav1.NamespaceSystem)
	for _, name := range nodeDaemons {
		if _, err := daemons.Create(t.Context(), nodeDaemon(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// nodeDaemon requests nothing, to leave the nodes' resources to the specs.
func nodeDaemon(name string) *appsv1.DaemonSet {
	labels := map[string]string{"k8s-app": name}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: name, Image: "registry.k8s.io/pause:3.10.1",
				}}},
			},
		},
	}
}
