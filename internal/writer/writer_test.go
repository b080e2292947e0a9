package writer_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/garrison-project/garrison/internal/server"
	"github.com/garrison-project/garrison/internal/writer"
	"github.com/garrison-project/garrison/internal/writer/writertest"
)

func startServer(t testing.TB) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return s
}

func remoteClient(t testing.TB, s *server.Server) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return kubernetes.NewForConfigOrDie(config)
}

// prepare creates the namespaces of a run of the suite. Each run has a server
// of its own, so that all names can be the same.
func prepare(t testing.TB, client kubernetes.Interface) {
	t.Helper()
	ctx := t.Context()
	for _, name := range []string{"suite", "ending"} {
		if _, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
		if _, err := client.CoreV1().ServiceAccounts(name).Create(ctx, account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.CoreV1().Namespaces().Delete(ctx, "ending", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Both writers pass the suite, and behave alike in every step of it.
func TestWriters(t *testing.T) {
	outcomes := map[string]writertest.Outcomes{}
	for _, name := range []string{"direct", "client"} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			remote := remoteClient(t, s)
			prepare(t, remote)
			target := writertest.Target{Writer: s.Writer(), Client: remote, Namespace: "suite", Ending: "ending", Node: "node"}
			if name == "client" {
				target.Writer = writer.NewClient(remote)
			}
			outcomes[name] = writertest.Run(t, target)
		})
	}
	for step, want := range outcomes["client"] {
		if got := outcomes["direct"][step]; got != want {
			t.Errorf("%s:\n  client %s\n  direct %s", step, want, got)
		}
	}
	if d, c := len(outcomes["direct"]), len(outcomes["client"]); d != c || d == 0 {
		t.Errorf("%d steps direct, %d by client", d, c)
	}
}

// Direct writes leave no managed fields; this is what makes them cheap.
func TestDirectKeepsNoManagedFields(t *testing.T) {
	s := startServer(t)
	prepare(t, s.Client())
	pod, err := s.Writer().CreatePod(t.Context(), benchmarkPod("a"))
	if err != nil {
		t.Fatal(err)
	}
	if pod, err = s.Writer().UpdatePodStatus(t.Context(), pod); err != nil || len(pod.ManagedFields) != 0 {
		t.Errorf("%v, %v", pod, err)
	}
}

func benchmarkPod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "suite", Name: name, Labels: map[string]string{"app": "agent"}},
		Spec: corev1.PodSpec{
			NodeName:   "node",
			Containers: []corev1.Container{{Name: "agent", Image: "example.org/agent:1"}},
		},
	}
}
