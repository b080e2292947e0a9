package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// A node with real containers: a few pods one after the other, then at rest with
// them, then a crowd at once.
const (
	machineName = "bench"
	fewPods     = 20
	crowd       = 100
	realImage   = "busybox:1.36"
	// trimmed is how long an agent takes to let go of what it needed for a time.
	trimmed = time.Minute
)

// machine is an agent in a process of its own, beside a control plane.
type machine struct {
	*process
	client kubernetes.Interface
	dir    string
	launch func() (*process, error)
}

// measureMachine measures an agent that runs real containers on this machine.
func measureMachine(ctx context.Context, o options) ([]figure, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("real containers need root")
	}
	return with(o, []string{"--cluster-cidr", "10.202.0.0/16"}, func(server *process) ([]figure, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*patience)
		defer cancel()
		m, err := newMachine(ctx, o, server)
		if err != nil {
			return nil, err
		}
		figures, err := m.measure(ctx)
		_, stopped := m.stop()
		return figures, errors.Join(err, stopped, m.reset(o))
	})
}

// newMachine starts an agent and waits until its node is ready.
func newMachine(ctx context.Context, o options, server *process) (*machine, error) {
	client, err := server.connect()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(server.dir, "agent-data")
	images := filepath.Join(dir, "images")
	if err := os.MkdirAll(images, 0o700); err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(server.dir, "node.kubeconfig")
	for _, command := range [][]string{
		{"go", "run", "./test/images", "-o", filepath.Join(images, "busybox.tar"), realImage},
		{o.binary, "kubeconfig", "node", machineName, "--data-dir", server.dir, "-o", kubeconfig},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w\n%s", command, err, out)
		}
	}
	m := &machine{client: client, dir: dir, launch: func() (*process, error) {
		return launch(o, dir, "agent", "--kubeconfig", kubeconfig, "--node-name", machineName,
			"--agent-port", "0", "--eviction-hard", "memory.available<50Mi", "--pod-logs-dir", filepath.Join(dir, "pod-logs"))
	}}
	if m.process, err = m.launch(); err != nil {
		return nil, errors.Join(err, m.reset(o))
	}
	return m, m.nodeReady(ctx)
}

// reset removes all that the agent's runtime made.
func (m *machine) reset(o options) error {
	if out, err := exec.Command(o.binary, "reset", "--data-dir", m.dir, "--yes").CombinedOutput(); err != nil {
		return fmt.Errorf("reset: %w\n%s", err, out)
	}
	return nil
}

func (m *machine) measure(ctx context.Context) ([]figure, error) {
	var waits []time.Duration
	for i := range fewPods {
		begin := time.Now()
		if err := m.run(ctx, "few", i, 1); err != nil {
			return nil, err
		}
		waits = append(waits, time.Since(begin))
	}
	slices.Sort(waits)
	figures := []figure{
		{"bound to Ready, local image, median", milliseconds(waits[fewPods/2]), "ms", atMost(500)},
		{"bound to Ready, local image, slowest of 20", milliseconds(waits[fewPods-1]), "ms", target{}},
	}
	time.Sleep(trimmed)
	idle, err := m.atRest()
	if err != nil {
		return figures, err
	}
	figures = append(figures,
		figure{"agent memory with 20 pods", idle.memory, "MB", atMost(50)},
		figure{"agent processor with 20 pods, idle", 100 * idle.load, "% of a core", atMost(0.5)})
	if err := m.restart(ctx); err != nil {
		return figures, err
	}
	if err := m.clear(ctx); err != nil {
		return figures, err
	}
	begin := time.Now()
	if err := m.run(ctx, "crowd", 0, crowd); err != nil {
		return figures, err
	}
	return append(figures, figure{"100 pods on one node: until all are Ready", seconds(time.Since(begin)), "s", atMost(25)}), m.clear(ctx)
}

// run creates pods of one group that are bound to the node from the beginning,
// and waits until they are ready.
func (m *machine) run(ctx context.Context, group string, first, n int) error {
	pods := m.client.CoreV1().Pods(metav1.NamespaceDefault)
	events, err := pods.Watch(ctx, metav1.ListOptions{LabelSelector: labels.Set{"group": group}.String()})
	if err != nil {
		return err
	}
	defer events.Stop()
	for i := first; i < first+n; i++ {
		if _, err := pods.Create(ctx, realPod(group, i), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	ready := map[string]bool{}
	for len(ready) < first+n {
		select {
		case event, open := <-events.ResultChan():
			pod, isPod := event.Object.(*corev1.Pod)
			if !open || !isPod {
				return fmt.Errorf("the watch of pods ended: %v", event)
			}
			if event.Type != watch.Deleted && podReady(pod) {
				ready[pod.Name] = true
			}
		case <-ctx.Done():
			return fmt.Errorf("%d of %d pods became ready: %w", len(ready), first+n, ctx.Err())
		}
	}
	return nil
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func realPod(group string, i int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%03d", group, i), Labels: labels.Set{"group": group}},
		Spec: corev1.PodSpec{
			NodeName:                      machineName,
			TerminationGracePeriodSeconds: ptr.To[int64](1),
			Containers: []corev1.Container{{
				Name: "sleep", Image: realImage, ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"sh", "-c", "trap exit TERM; sleep infinity & wait"},
			}},
		},
	}
}

// restart kills the agent and starts it anew, which must touch no container.
func (m *machine) restart(ctx context.Context) error {
	before, err := m.containers(ctx)
	if err != nil {
		return err
	}
	if err := m.command.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	_ = m.command.Wait() // it was killed
	if m.process, err = m.launch(); err != nil {
		return err
	}
	time.Sleep(settle) // for whatever it might do to them
	after, err := m.containers(ctx)
	if err == nil && !maps.Equal(before, after) {
		err = fmt.Errorf("a restart of the agent changed containers from %v to %v", before, after)
	}
	return err
}

// containers are the IDs of the containers that run, with how often each was
// restarted.
func (m *machine) containers(ctx context.Context) (map[string]int32, error) {
	list, err := m.client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	running := map[string]int32{}
	for _, pod := range list.Items {
		for _, c := range pod.Status.ContainerStatuses {
			if c.State.Running != nil {
				running[c.ContainerID] = c.RestartCount
			}
		}
	}
	return running, nil
}

// clear deletes all pods and waits until they are gone.
func (m *machine) clear(ctx context.Context) error {
	pods := m.client.CoreV1().Pods(metav1.NamespaceDefault)
	if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		list, err := pods.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 0, err
	})
}

func (m *machine) nodeReady(ctx context.Context) error {
	return until(ctx, func() (bool, error) {
		node, err := m.client.CoreV1().Nodes().Get(ctx, machineName, metav1.GetOptions{})
		return err == nil && len(node.Spec.Taints) == 0 && slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}), err
	})
}

// until asks until the answer is yes.
func until(ctx context.Context, holds func() (bool, error)) error {
	for {
		if yes, err := holds(); yes || err != nil {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
