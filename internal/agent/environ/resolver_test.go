package environ_test

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/environ"
)

func TestResolverFindsServicesAndTheNode(t *testing.T) {
	index := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	err := index.Add(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.0.0.1", Ports: []corev1.ServicePort{{Port: 443}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	synced := false
	node := &corev1.Node{Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")}}}
	r := &environ.Resolver{
		Node:           func() *corev1.Node { return node },
		Services:       corelisters.NewServiceLister(index),
		ServicesSynced: func() bool { return synced },
	}
	container := &corev1.Container{
		Name: "main", Command: []string{"curl", "$(KUBERNETES_SERVICE_HOST)"}, Args: []string{"$(CPU)"},
		Env: []corev1.EnvVar{{Name: "CPU", ValueFrom: &corev1.EnvVarSource{
			ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}}},
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Spec: corev1.PodSpec{Containers: []corev1.Container{*container}}}
	request := agent.ContainerRequest{Pod: pod, Spec: container}

	if _, err := r.Resolve(t.Context(), request); err == nil {
		t.Error("services were not waited for")
	}
	synced = true
	got, err := r.Resolve(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"curl", "10.0.0.1"}; !reflect.DeepEqual(got.Command, want) {
		t.Errorf("command %q, want %q", got.Command, want)
	}
	if want := []string{"3"}; !reflect.DeepEqual(got.Args, want) {
		t.Errorf("args %q, want %q", got.Args, want)
	}
	if len(got.Env) != 8 {
		t.Errorf("environment %v", got.Env)
	}

	// A static pod does not wait for the API.
	synced = false
	pod.Annotations = map[string]string{"kubernetes.io/config.source": "file"}
	if _, err := r.Resolve(t.Context(), request); err != nil {
		t.Errorf("static pod: %v", err)
	}
}
