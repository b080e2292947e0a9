package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	agentName = "bench-agent"
	// patience bounds each wait.
	patience = 2 * time.Minute
)

// fleet is a control plane with many nodes.
type fleet struct {
	process *process
	client  kubernetes.Interface
	size    int
}

// measureFleet measures how fast many nodes, and then single ones, get their
// agent.
func measureFleet(ctx context.Context, p plan) ([]figure, error) {
	dir, err := os.MkdirTemp("", "garrison-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	proc, err := start(p.binary, dir, "--simulate-nodes", strconv.Itoa(p.nodes))
	if err != nil {
		return nil, err
	}
	figures, err := measureAgents(ctx, p, proc)
	if _, stopped := proc.stop(); err == nil {
		err = stopped
	}
	return figures, err
}

func measureAgents(ctx context.Context, p plan, proc *process) ([]figure, error) {
	config, err := clientcmd.BuildConfigFromFlags("", proc.kubeconfig())
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	f := &fleet{process: proc, client: client, size: p.nodes}
	time.Sleep(settle) // the nodes' first heartbeats are not what is measured
	begin, err := proc.cpu()
	if err != nil {
		return nil, err
	}
	rollout, err := f.apply(ctx)
	if err != nil {
		return nil, err
	}
	end, err := proc.cpu()
	if err != nil {
		return nil, err
	}
	joins, err := f.joins(ctx, p.joins)
	if err != nil {
		return nil, err
	}
	memory, err := proc.memory()
	if err != nil {
		return nil, err
	}
	fleet := fmt.Sprintf("%d nodes: ", p.nodes)
	return []figure{
		{fleet + "start to ready", seconds(proc.ready), "s", 0},
		{fleet + "apply to all ready", seconds(rollout), "s", 4.5},
		{fleet + "processor for it, a pod", milliseconds(end-begin) / float64(p.nodes), "ms", 0},
		{fleet + "node joins to pod ready, median", milliseconds(joins[len(joins)/2]), "ms", 250},
		{fleet + "node joins to pod ready, worst", milliseconds(joins[len(joins)-1]), "ms", 0},
		{fleet + "memory", memory, "MB", 0},
	}, nil
}

// apply creates a DaemonSet and returns how long it takes until it reports all
// its pods ready.
func (f *fleet) apply(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sets := f.client.AppsV1().DaemonSets(metav1.NamespaceDefault)
	events, err := sets.Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", agentName).String()})
	if err != nil {
		return 0, err
	}
	defer events.Stop()
	begin := time.Now()
	if _, err := sets.Create(ctx, agent(), metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	return since(begin, events, func(event watch.Event) bool {
		set, ok := event.Object.(*appsv1.DaemonSet)
		return ok && int(set.Status.NumberReady) == f.size
	})
}

// joins lets nodes join one after the other and returns, sorted, how long it
// took each until its pod was ready.
func (f *fleet) joins(ctx context.Context, n int) ([]time.Duration, error) {
	var took []time.Duration
	for i := range n {
		one, err := f.join(ctx, fmt.Sprintf("joining-%02d", i))
		if err != nil {
			return nil, err
		}
		took = append(took, one)
	}
	slices.Sort(took)
	return took, nil
}

func (f *fleet) join(ctx context.Context, name string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	events, err := f.client.CoreV1().Pods(metav1.NamespaceDefault).Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", name).String()})
	if err != nil {
		return 0, err
	}
	defer events.Stop()
	begin := time.Now()
	if _, err := f.client.CoreV1().Nodes().Create(ctx, simulatedNode(name), metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	return since(begin, events, func(event watch.Event) bool {
		pod, ok := event.Object.(*corev1.Pod)
		return ok && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	})
}

// since returns the time from begin to the first event that will do.
func since(begin time.Time, events watch.Interface, enough func(watch.Event) bool) (time.Duration, error) {
	for event := range events.ResultChan() {
		if enough(event) {
			return time.Since(begin), nil
		}
	}
	return 0, fmt.Errorf("it had not come about after %v", time.Since(begin))
}

func agent() *appsv1.DaemonSet {
	labels := map[string]string{"app": agentName}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: agentName},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "busybox:1.36"}}},
			},
		},
	}
}

func simulatedNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:        name,
		Annotations: map[string]string{"garrison.dev/simulated": "true"},
		Labels:      map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux"},
	}}
}
