package server

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// start starts a server that ends with the test.
func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return s
}

// overTLS returns a client with the administrator's kubeconfig.
func overTLS(t *testing.T, s *Server) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig())
	if err != nil {
		t.Fatalf("read kubeconfig: %v", err)
	}
	return kubernetes.NewForConfigOrDie(config)
}

func TestClientsOverBothTransports(t *testing.T) {
	s := start(t, Config{DataDir: t.TempDir()})
	for name, client := range map[string]kubernetes.Interface{"tls": overTLS(t, s), "memory": s.Client()} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			maps := client.CoreV1().ConfigMaps("default")
			list, err := maps.List(ctx, metav1.ListOptions{})
			if err != nil {
				t.Fatalf("list: %v", err)
			}
			w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
			if err != nil {
				t.Fatalf("watch: %v", err)
			}
			defer w.Stop()
			created, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}}, metav1.CreateOptions{})
			if err != nil {
				t.Fatalf("create: %v", err)
			}
			if e := <-w.ResultChan(); e.Object.(*corev1.ConfigMap).UID != created.UID {
				t.Errorf("watch: got %s of %v, want %s", e.Type, e.Object, created.Name)
			}
			if got, err := maps.Get(ctx, created.Name, metav1.GetOptions{}); err != nil || got.UID != created.UID {
				t.Errorf("get: %v, %v", got, err)
			}
		})
	}
}

func TestWriterToInformer(t *testing.T) {
	s := start(t, Config{DataDir: t.TempDir()})
	ctx := t.Context()
	pods := s.Informers().Core().V1().Pods()
	pods.Informer()
	s.Informers().Start(ctx.Done())
	s.Informers().WaitForCacheSync(ctx.Done())
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := s.Client().CoreV1().ServiceAccounts("default").Create(ctx, account, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create the service account: %v", err)
	}
	created, err := s.Writer().CreatePod(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "b"}}},
	})
	if err != nil {
		t.Fatalf("create pod: %v", err)
	}
	err = wait.PollUntilContextTimeout(ctx, time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		pod, err := pods.Lister().Pods("default").Get("a")
		return err == nil && pod.ResourceVersion == created.ResourceVersion, nil
	})
	if err != nil {
		t.Errorf("the informer has not seen the pod: %v", err)
	}
}
