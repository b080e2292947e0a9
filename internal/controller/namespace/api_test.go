package namespace_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/apitest"
	"github.com/garrison-project/garrison/internal/controller/namespace"
)

var api *apitest.API

func TestMain(m *testing.M) {
	os.Exit(apitest.Main(m, func(a *apitest.API) ([]apitest.Part, error) {
		api = a
		controller, err := namespace.New(namespace.Options{
			Client: a.Client(), Metadata: a.Metadata, Informers: a.Informers(), Writer: a.Writer(), RootCA: []byte("a CA"),
		})
		return []apitest.Part{controller}, err
	}))
}

func TestEveryNamespaceIsFurnished(t *testing.T) {
	for _, ns := range []string{"default", "kube-system", "kube-public", "kube-node-lease", api.Namespace(t)} {
		apitest.Eventually(t, func() error { return furnished(t, ns) })
	}
}

func furnished(t *testing.T, ns string) error {
	if _, err := api.Client().CoreV1().ServiceAccounts(ns).Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
		return err
	}
	cm, err := api.Client().CoreV1().ConfigMaps(ns).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
	if err == nil && (len(cm.Data) != 1 || cm.Data["ca.crt"] != "a CA") {
		err = fmt.Errorf("data %v", cm.Data)
	}
	return err
}

func TestFurnitureIsRestored(t *testing.T) {
	ns := api.Namespace(t)
	apitest.Eventually(t, func() error { return furnished(t, ns) })
	core := api.Client().CoreV1()
	if err := core.ServiceAccounts(ns).Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := core.ConfigMaps(ns).Delete(t.Context(), "kube-root-ca.crt", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	apitest.Eventually(t, func() error { return furnished(t, ns) })
	cm, err := core.ConfigMaps(ns).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cm.Data = map[string]string{"ca.crt": "another", "more": "things"}
	cm.Labels = map[string]string{"mine": "stays"}
	apitest.Must(t)(core.ConfigMaps(ns).Update(t.Context(), cm, metav1.UpdateOptions{}))
	apitest.Eventually(t, func() error { return furnished(t, ns) })
	if cm, err = core.ConfigMaps(ns).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{}); err != nil || cm.Labels["mine"] != "stays" {
		t.Errorf("labels %v, %v", cm.Labels, err)
	}
}

func getNamespace(t *testing.T, name string) (*corev1.Namespace, error) {
	return api.Client().CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
}

func deleteNamespace(t *testing.T, name string) {
	t.Helper()
	if err := api.Client().CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestNamespaceIsEmptied(t *testing.T) {
	ns := api.Namespace(t)
	apitest.Eventually(t, func() error { return furnished(t, ns) })
	apitest.Must(t)(api.Client().CoreV1().Secrets(ns).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{}))
	apitest.Must(t)(api.Client().CoreV1().Events(ns).Create(t.Context(), &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "e"}, InvolvedObject: corev1.ObjectReference{Namespace: ns},
	}, metav1.CreateOptions{}))
	createPod(t, ns, "unbound", "")
	deleteNamespace(t, ns)
	apitest.Eventually(t, func() error { return apitest.Gone(getNamespace(t, ns)) })
	for _, key := range []string{"secrets", "pods", "configmaps", "serviceaccounts", "events"} {
		left, err := api.Metadata.Resource(corev1.SchemeGroupVersion.WithResource(key)).Namespace(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(left.Items) > 0 {
			t.Errorf("%d %s left, %v", len(left.Items), key, err)
		}
	}
}

func createPod(t *testing.T, ns, name, node string) {
	t.Helper()
	_, err := api.Writer().CreatePod(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "main", Image: "pause:3"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPodsGoFirst(t *testing.T) {
	ns := api.Namespace(t)
	apitest.Eventually(t, func() error { return furnished(t, ns) })
	createPod(t, ns, "bound", "some-node") // whose agent takes its time
	deleteNamespace(t, ns)
	apitest.Eventually(t, func() error {
		return remains(t, ns, "Some resources are remaining: pods. has 1 resource instances")
	})
	// What pods may still need is there.
	if err := furnished(t, ns); err != nil {
		t.Error(err)
	}
	err := api.Client().CoreV1().Pods(ns).Delete(t.Context(), "bound", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
	if err != nil {
		t.Fatal(err)
	}
	ended := time.Now()
	apitest.Eventually(t, func() error { return apitest.Gone(getNamespace(t, ns)) })
	if took := time.Since(ended); took > 10*time.Second {
		t.Errorf("the end of the pod was noticed after %v only", took)
	}
}

// remains checks what a namespace says is left in it.
func remains(t *testing.T, ns, message string) error {
	found, err := getNamespace(t, ns)
	if err != nil {
		return err
	}
	if found.Status.Phase != corev1.NamespaceTerminating {
		return fmt.Errorf("phase %s", found.Status.Phase)
	}
	for _, c := range found.Status.Conditions {
		if c.Type == corev1.NamespaceContentRemaining && c.Status == corev1.ConditionTrue && strings.Contains(c.Message, message) {
			return nil
		}
	}
	return fmt.Errorf("conditions %v", found.Status.Conditions)
}

func TestFinalizersHoldTheNamespace(t *testing.T) {
	ns := api.Namespace(t)
	configMaps := api.Client().CoreV1().ConfigMaps(ns)
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/hold"}}}
	apitest.Must(t)(configMaps.Create(t.Context(), held, metav1.CreateOptions{}))
	deleteNamespace(t, ns)
	apitest.Eventually(t, func() error {
		return remains(t, ns, "configmaps. has 1 resource instances")
	})
	apitest.Throughout(t, 100*time.Millisecond, func() error {
		if _, err := getNamespace(t, ns); err != nil {
			return errors.New("gone, though something is left in it")
		}
		return nil
	})
	held, err := configMaps.Get(t.Context(), "held", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	held.Finalizers = nil
	apitest.Must(t)(configMaps.Update(t.Context(), held, metav1.UpdateOptions{}))
	apitest.Eventually(t, func() error { return apitest.Gone(getNamespace(t, ns)) })
}
