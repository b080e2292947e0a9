package nodeipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func newNode(name string, ranges ...string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: ranges}}
}

// inCluster runs a controller of the range 10.84.0.0/22 beside a test.
func inCluster(t *testing.T, api *fake.Clientset, test func(t *testing.T, api *fake.Clientset)) {
	synctest.Test(t, func(t *testing.T) {
		shared := informers.NewSharedInformerFactory(api, 0)
		c, err := New(Options{Client: api, Informers: shared, ClusterCIDR: netip.MustParsePrefix("10.84.0.0/22")})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		shared.Start(ctx.Done())
		ended := make(chan struct{})
		go func() { defer close(ended); c.Run(ctx) }()
		defer func() {
			cancel()
			<-ended
			shared.Shutdown()
		}()
		time.Sleep(time.Second) // what is stored is read
		test(t, api)
	})
}

// show lists the nodes with their ranges.
func show(t *testing.T, api *fake.Clientset) string {
	t.Helper()
	synctest.Wait()
	nodes, err := api.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, node := range nodes.Items {
		if len(node.Spec.PodCIDRs) > 0 && node.Spec.PodCIDR != node.Spec.PodCIDRs[0] && node.Spec.PodCIDR != "" {
			t.Errorf("node %s has %q and %v", node.Name, node.Spec.PodCIDR, node.Spec.PodCIDRs)
		}
		all = append(all, fmt.Sprintf("%s:%s", node.Name, strings.TrimPrefix(strings.Join(node.Spec.PodCIDRs, ","), "10.84.")))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestNodesGetRanges(t *testing.T) {
	simulated := newNode("simulated")
	simulated.Annotations = map[string]string{"garrison.dev/simulated": "true"}
	inCluster(t, fake.NewClientset(newNode("a"), newNode("told", "10.84.1.0/24"), simulated), func(t *testing.T, api *fake.Clientset) {
		if got, want := show(t, api), "a:0.0/24 simulated: told:1.0/24"; got != want {
			t.Fatalf("at first %s, want %s", got, want)
		}
		create := func(name string) {
			if _, err := api.CoreV1().Nodes().Create(t.Context(), newNode(name), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		create("b")
		create("c")
		create("late")
		if got, want := show(t, api), "a:0.0/24 b:2.0/24 c:3.0/24 late: simulated: told:1.0/24"; got != want {
			t.Fatalf("then %s, want %s", got, want)
		}
		events, err := api.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(events.Items) == 0 || events.Items[0].Reason != "CIDRNotAvailable" {
			t.Errorf("events %v, %v", events.Items, err)
		}
		// The range of a node that is deleted goes to who waits for one.
		if err := api.CoreV1().Nodes().Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got, want := show(t, api), "b:2.0/24 c:3.0/24 late:0.0/24 simulated: told:1.0/24"; got != want {
			t.Fatalf("in the end %s, want %s", got, want)
		}
	})
}

func TestFailedWriteIsRepeatedWithTheSameRange(t *testing.T) {
	api, failures := fake.NewClientset(), 3
	api.PrependReactor("patch", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		failures--
		return failures >= 0, nil, errors.New("nobody answers")
	})
	inCluster(t, api, func(t *testing.T, api *fake.Clientset) {
		for _, name := range []string{"a", "b"} {
			if _, err := api.CoreV1().Nodes().Create(t.Context(), newNode(name), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		if got, want := show(t, api), "a:0.0/24 b:1.0/24"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
