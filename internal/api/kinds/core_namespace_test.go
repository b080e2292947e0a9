package kinds_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestGeneratedNamespaceLabel wants the label by which selectors know a
// namespace to be its name also where the server chose that. Defaulting gives
// it, as late as the object is read back.
func TestGeneratedNamespaceLabel(t *testing.T) {
	c := startCluster(t)
	ns, err := c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "some-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := ns.Labels[corev1.LabelMetadataName]; got != ns.Name || len(got) <= len("some-") {
		t.Errorf("the namespace %q is labelled %q", ns.Name, got)
	}
}
