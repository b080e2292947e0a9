package cacheindex

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

func TestPodsOnNode(t *testing.T) {
	pods := informers.NewSharedInformerFactory(fake.NewClientset(), 0).Core().V1().Pods().Informer()
	for range 2 { // a second consumer finds the index
		if err := AddPodsByNode(pods); err != nil {
			t.Fatal(err)
		}
	}
	for name, node := range map[string]string{"a": "n1", "b": "n2", "c": ""} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{NodeName: node}}
		if err := pods.GetIndexer().Add(pod); err != nil {
			t.Fatal(err)
		}
	}
	found, err := PodsOnNode(pods.GetIndexer(), "n1")
	if err != nil || len(found) != 1 || found[0].Name != "a" {
		t.Errorf("PodsOnNode(n1) = %v, %v", found, err)
	}
	if found, err := PodsOnNode(pods.GetIndexer(), ""); err != nil || len(found) != 0 {
		t.Errorf("unbound pods are indexed: %v, %v", found, err)
	}
}

func TestOrphans(t *testing.T) {
	pods := informers.NewSharedInformerFactory(fake.NewClientset(), 0).Core().V1().Pods().Informer()
	if err := AddOrphans(pods); err != nil {
		t.Fatal(err)
	}
	yes := true
	for _, meta := range []metav1.ObjectMeta{
		{Namespace: "a", Name: "orphan"},
		{Namespace: "b", Name: "elsewhere"},
		{Namespace: "a", Name: "owned", OwnerReferences: []metav1.OwnerReference{{UID: "u", Controller: &yes}}},
	} {
		if err := pods.GetIndexer().Add(&corev1.Pod{ObjectMeta: meta}); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Orphans(pods.GetIndexer(), "a")
	if err != nil || len(found) != 1 || found[0].GetName() != "orphan" {
		t.Errorf("Orphans(a) = %v, %v", found, err)
	}
}
