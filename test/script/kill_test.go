package script

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	killNodes  = 200
	killRounds = 50
	// killSeed makes the moments of death the same in every run.
	killSeed = 20
	// killWithin is how far into a rollout the process may get: a rollout of
	// this size takes about as long.
	killWithin = 1500 * time.Millisecond
)

// TestKillDuringRollout kills the process without warning in the middle of one
// rollout after another. Each time it must go on where it was: the rollout
// converges, nothing that was acknowledged is lost, and at no moment that an
// observer sees does a node have two running pods.
func TestKillDuringRollout(t *testing.T) {
	r := newKillRun(t)
	r.start(t)
	r.createAgent(t)
	r.converge(t, 0)
	random := rand.New(rand.NewPCG(killSeed, killSeed))
	for round := 1; round <= killRounds; round++ {
		r.roll(t, round)
		acknowledged := r.writeUntil(t, round, time.Duration(random.Int64N(int64(killWithin))))
		r.plane.end()
		if err := r.observer.stop(); err != nil {
			t.Fatalf("before kill %d: %v", round, err)
		}
		r.start(t)
		r.converge(t, round)
		r.mustExist(t, acknowledged)
	}
	if err := r.observer.stop(); err != nil {
		t.Fatal(err)
	}
}

// killRun is one data directory and the process that is killed on it.
type killRun struct {
	dir      string
	plane    *plane
	client   kubernetes.Interface
	observer *observer
}

func newKillRun(t *testing.T) *killRun {
	r := &killRun{dir: t.TempDir()}
	t.Cleanup(func() {
		if r.plane == nil {
			return
		}
		if log := r.plane.end(); t.Failed() {
			t.Logf("log of garrison:\n%s", log)
		}
	})
	return r
}

// start runs the binary on the data directory and watches the pods.
func (r *killRun) start(t *testing.T) {
	t.Helper()
	var err error
	r.plane, err = startPlane(planeConfig{args: []string{
		"server", "--port", "0", "--data-dir", r.dir, "--simulate-nodes", fmt.Sprint(killNodes),
	}})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(r.dir, "admin.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	if r.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	r.observer = observe(t, r.client)
}

func (r *killRun) createAgent(t *testing.T) {
	t.Helper()
	labels := map[string]string{"app": "agent"}
	tenth := intstr.FromString("10%")
	_, err := r.client.AppsV1().DaemonSets("default").Create(t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &tenth},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "agent:1"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// roll starts the rollout of a new template.
func (r *killRun) roll(t *testing.T, round int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"round":"%d"}}}}}`, round)
	_, err := r.client.AppsV1().DaemonSets("default").Patch(t.Context(), "agent", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
}

// writeUntil creates ConfigMaps one after the other for a while, and returns the
// names of those that were acknowledged.
func (r *killRun) writeUntil(t *testing.T, round int, limit time.Duration) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var names []string
	for {
		name := fmt.Sprintf("written-%d-%d", round, len(names))
		_, err := r.client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		switch {
		case ctx.Err() != nil:
			return names
		case err != nil:
			t.Fatalf("round %d: %v", round, err)
		}
		names = append(names, name)
	}
}

// mustExist checks that what was acknowledged before the kill is still there.
func (r *killRun) mustExist(t *testing.T, names []string) {
	t.Helper()
	for _, name := range names {
		if err := r.client.CoreV1().ConfigMaps("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("ConfigMap %s was acknowledged before the kill: %v", name, err)
		}
	}
}

// converge waits until every node has exactly one pod, available and of the
// round's template.
func (r *killRun) converge(t *testing.T, round int) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), glance, patience, true, func(ctx context.Context) (bool, error) {
		last = r.converged(ctx, round)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("round %d has not converged after %v: %v", round, patience, last)
	}
}

func (r *killRun) converged(ctx context.Context, round int) error {
	set, err := r.client.AppsV1().DaemonSets("default").Get(ctx, "agent", metav1.GetOptions{})
	if err != nil {
		return err
	}
	st := set.Status
	if st.ObservedGeneration < set.Generation || st.UpdatedNumberScheduled != killNodes || st.NumberAvailable != killNodes {
		return fmt.Errorf("generation %d, status %+v", set.Generation, st)
	}
	pods, err := r.client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	want := ""
	if round > 0 {
		want = fmt.Sprint(round)
	}
	nodes := map[string]bool{}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil || p.Annotations["round"] != want || nodes[p.Spec.NodeName] {
			return fmt.Errorf("pod %s on node %q is one too many or out of date", p.Name, p.Spec.NodeName)
		}
		nodes[p.Spec.NodeName] = true
	}
	if len(nodes) != killNodes {
		return fmt.Errorf("%d nodes have a pod", len(nodes))
	}
	return nil
}

// observer watches pods and notes if ever two of them run on one node. A pod
// that is being deleted still runs until it is gone.
type observer struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the watch has ended
	err    error         // once done is closed
}

func observe(t *testing.T, client kubernetes.Interface) *observer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	o := &observer{cancel: cancel, done: make(chan struct{})}
	list, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := client.CoreV1().Pods("default").Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(o.done)
		defer stream.Stop()
		running := map[string]types.UID{}
		for i := range list.Items {
			o.note(running, &list.Items[i], false)
		}
		for event := range stream.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok {
				o.note(running, pod, event.Type == "DELETED")
			}
		}
	}()
	return o
}

// note books one sight of a pod: running maps a node to the pod that runs there.
func (o *observer) note(running map[string]types.UID, pod *corev1.Pod, gone bool) {
	node := pod.Spec.NodeName
	switch other := running[node]; {
	case gone || pod.Status.Phase != corev1.PodRunning:
		if other == pod.UID {
			delete(running, node)
		}
	case other != "" && other != pod.UID:
		if o.err == nil {
			o.err = fmt.Errorf("pod %s (%s) runs on node %s beside pod %s", pod.Name, pod.UID, node, other)
		}
	default:
		running[node] = pod.UID
	}
}

// stop ends the watch, waits for the last event to be booked, and returns what
// the observer has to complain about.
func (o *observer) stop() error {
	o.cancel()
	<-o.done
	return o.err
}
