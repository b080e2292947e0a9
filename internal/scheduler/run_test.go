package scheduler

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/garrison-project/garrison/internal/core/place/placetest"
)

// clientWriter writes to a fake API server, doing the server's part in a
// binding.
type clientWriter struct{ client *fake.Clientset }

func (w clientWriter) BindPod(ctx context.Context, b *corev1.Binding) error {
	pod, err := w.client.CoreV1().Pods(b.Namespace).Get(ctx, b.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if pod.Spec.NodeName != "" {
		return fmt.Errorf("pod %s is bound already", b.Name)
	}
	pod.Spec.NodeName = b.Target.Name
	_, err = w.client.CoreV1().Pods(b.Namespace).Update(ctx, pod, metav1.UpdateOptions{})
	return err
}

func (w clientWriter) UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return w.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
}

func (w clientWriter) DeletePod(ctx context.Context, key types.NamespacedName, o metav1.DeleteOptions) error {
	return w.client.CoreV1().Pods(key.Namespace).Delete(ctx, key.Name, o)
}

func (w clientWriter) CreateEvent(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	return w.client.EventsV1().Events(e.Namespace).Create(ctx, e, metav1.CreateOptions{})
}

// Run binds what is there and what comes, with several workers, writes the
// events, and ends with its context; synctest fails the test if a goroutine
// stays behind.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		client := fake.NewClientset()
		factory := informers.NewSharedInformerFactory(client, 0)
		s, err := New(Options{Writer: clientWriter{client}, Informers: factory})
		if err != nil {
			t.Fatal(err)
		}
		const nodes = 20
		for i := range nodes {
			createNode(t, client, fmt.Sprintf("w-%d", i))
			createPod(t, client, fmt.Sprintf("before-%d pin:w-%d", i, i))
		}
		factory.Start(ctx.Done())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		<-s.clock.After(initialBackoff) // for the caches to be full
		synctest.Wait()
		createPod(t, client, "after pin:w-late")
		synctest.Wait()
		createNode(t, client, "w-late")
		// The pod was tried in vain, so its backoff is waited for.
		<-s.clock.After(initialBackoff)
		synctest.Wait()

		pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, pod := range pods.Items {
			if pod.Spec.NodeName == "" {
				t.Errorf("pod %s was not bound", pod.Name)
			}
		}
		events, err := client.EventsV1().Events("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(events.Items), nodes+2; got != want {
			t.Errorf("%d events, want %d", got, want)
		}
		stop()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Run returned %v", err)
		}
		factory.Shutdown()
	})
}

func createNode(t *testing.T, client *fake.Clientset, line string) {
	n, err := placetest.Node(line)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Nodes().Create(t.Context(), n, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func createPod(t *testing.T, client *fake.Clientset, line string) {
	pod, err := placetest.Pod(line)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
