package objects_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/garrison-project/garrison/internal/agent/objects"
	"github.com/garrison-project/garrison/internal/apitest"
)

// asNode is a manager with the rights of a node and no more.
func asNode(t *testing.T, config *rest.Config) *objects.Manager {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	m := objects.New(t.Context(), objects.Options{Client: client})
	t.Cleanup(m.Close)
	return m
}

// overTLS is how a node of another machine reaches the API.
func overTLS(t *testing.T, node string) *rest.Config {
	file, err := api.NodeCertificate(node)
	if err != nil {
		t.Fatal(err)
	}
	return &rest.Config{Host: api.URL(), TLSClientConfig: rest.TLSClientConfig{
		CAFile: api.AuthorityFile(), CertFile: file, KeyFile: file}}
}

// bound makes a pod on node-a that names conf and key.
func bound(t *testing.T, ns string) *corev1.Pod {
	template := podNaming(ns, "")
	template.Name, template.Spec.NodeName = "pod", "node-a"
	template.Spec.Containers[0].Image = "image"
	pod, err := api.Client().CoreV1().Pods(ns).Create(t.Context(), template, metav1.CreateOptions{})
	apitest.Must(t)(pod, err)
	return pod
}

func TestANodeSeesWhatItsPodsName(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}}
	apitest.Must(t)(api.Client().CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}))
	for name, config := range map[string]*rest.Config{"TLS": overTLS(t, "node-a"), "in process": api.NodeRESTConfig("node-a")} {
		t.Run(name, func(t *testing.T) {
			ns := api.Namespace(t)
			core := api.Client().CoreV1()
			conf := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "conf"}, Data: map[string]string{"a": "1"}}
			apitest.Must(t)(core.ConfigMaps(ns).Create(t.Context(), conf, metav1.CreateOptions{}))
			m := asNode(t, config)
			pod := bound(t, ns)
			m.Hold(pod)
			is := func(want string) func() error {
				return func() error {
					got, err := m.ConfigMap(t.Context(), ns, "conf")
					if err == nil && got.Data["a"] != want {
						err = fmt.Errorf("a is %s", got.Data["a"])
					}
					return err
				}
			}
			apitest.Eventually(t, is("1")) // the authorizer may learn of the pod after us
			apitest.Eventually(t, func() error {
				if _, err := m.Secret(t.Context(), ns, "key"); !apierrors.IsNotFound(err) {
					return fmt.Errorf("absent secret: %v", err)
				}
				return nil
			})
			conf.Data["a"] = "2"
			apitest.Must(t)(core.ConfigMaps(ns).Update(t.Context(), conf, metav1.UpdateOptions{}))
			key := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "key"}, Data: map[string][]byte{"a": []byte("s")}}
			apitest.Must(t)(core.Secrets(ns).Create(t.Context(), key, metav1.CreateOptions{}))
			apitest.Eventually(t, is("2"))
			apitest.Eventually(t, func() error {
				_, err := m.Secret(t.Context(), ns, "key")
				return err
			})
			seconds := int64(3607)
			token, err := m.Token(t.Context(), pod, objects.TokenWish{ExpirationSeconds: &seconds})
			if err != nil || token.Value == "" || time.Until(token.Renew) > 3607*time.Second*4/5 {
				t.Errorf("token to be renewed %v: %v", token.Renew, err)
			}
		})
	}
}

func TestANodeSeesNothingElse(t *testing.T) {
	ns := api.Namespace(t)
	conf := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "conf"}}
	apitest.Must(t)(api.Client().CoreV1().ConfigMaps(ns).Create(t.Context(), conf, metav1.CreateOptions{}))
	m := asNode(t, api.NodeRESTConfig("node-b"))
	pod := bound(t, ns) // to another node
	m.Hold(pod)
	if _, err := m.ConfigMap(t.Context(), ns, "conf"); !apierrors.IsForbidden(err) {
		t.Errorf("ConfigMap: %v", err)
	}
	if _, err := m.Token(t.Context(), pod, objects.TokenWish{}); !apierrors.IsForbidden(err) {
		t.Errorf("token: %v", err)
	}
}
