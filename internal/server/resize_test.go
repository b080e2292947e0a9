package server

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Who wants to resize a pod is told that this is not to be had, not that something
// is missing.
func TestResizingIsRefused(t *testing.T) {
	_, err := shared.Client().CoreV1().Pods("default").Patch(t.Context(), "a", types.StrategicMergePatchType, []byte("{}"), metav1.PatchOptions{}, "resize")
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "pods cannot be resized in place here") {
		t.Errorf("got %v", err)
	}
	resources, err := shared.Client().Discovery().ServerResourcesForGroupVersion("v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resources.APIResources {
		if r.Name == "pods/resize" {
			t.Error("it is offered")
		}
	}
}
