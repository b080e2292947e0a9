package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
)

// The shape of SchedulingDaemonset, a benchmark of Kubernetes' own scheduler:
// so many pods, all pinned to one of so many nodes.
const (
	shapeNodes, shapePods = 15_000, 30_000
	pinnedNode            = "pinned"
	// creators is how many requests are under way at a time, connections over
	// how many connections they go.
	creators, connections = 32, 4
)

// measureScheduling measures how many pods a second are bound, twice: once while
// they are created through the API, which is most of the work, and once when
// they have been created before, and their node comes at last. It shares the
// machine with the client. The nodes have no agent.
func measureScheduling(ctx context.Context, o options) ([]figure, error) {
	begun, err := schedulingRun(ctx, o, scheduled{"created and bound", pinning.createAndBind, atLeast(2000)})
	if err != nil {
		return begun, err
	}
	waiting, err := schedulingRun(ctx, o, scheduled{"bound, having waited for the node", pinning.bindWaiting, atLeast(2000)})
	return append(begun, waiting...), err
}

// pinning is a control plane for pods that are pinned to one node.
type pinning struct {
	*fleet
	clients []kubernetes.Interface
	options
}

// spent is what the pods took.
type spent struct{ time, processor time.Duration }

// scheduled is one way to have pods scheduled, and how many a second it is to be.
type scheduled struct {
	name   string
	run    func(pinning, context.Context) (spent, error)
	target target
}

func schedulingRun(ctx context.Context, o options, s scheduled) ([]figure, error) {
	// Silent nodes must not become part of what is measured.
	return with(o, []string{"--node-monitor-grace-period", "1h"}, func(p *process) ([]figure, error) {
		clients, err := p.connections(connections)
		if err != nil {
			return nil, err
		}
		took, err := s.run(pinning{&fleet{process: p, client: clients[0]}, clients, o}, ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		label := fmt.Sprintf("%d pods pinned to one of %d nodes: ", shapePods, shapeNodes)
		return []figure{
			{label + s.name, shapePods / seconds(took.time), "a second", s.target},
			{label + s.name + ", processor of the server", milliseconds(took.processor) / shapePods, "ms", target{}},
		}, nil
	})
}

// createAndBind measures from the first create to the last binding. Creating
// and scheduling run at the same time.
func (p pinning) createAndBind(ctx context.Context) (spent, error) {
	if err := p.createNodes(ctx, 0); err != nil {
		return spent{}, err
	}
	time.Sleep(settle)
	return p.untilBound(ctx, "scheduling", p.createPods)
}

// bindWaiting measures from the creation of the node that all pods wait for to
// the last binding.
func (p pinning) bindWaiting(ctx context.Context) (spent, error) {
	if err := p.createNodes(ctx, 1); err != nil {
		return spent{}, err
	}
	if err := p.createPods(ctx); err != nil {
		return spent{}, err
	}
	if err := p.untilQuiet(ctx); err != nil { // every pod has been refused
		return spent{}, err
	}
	return p.untilBound(ctx, "binding", func(ctx context.Context) error {
		_, err := p.client.CoreV1().Nodes().Create(ctx, emptyNode(0), metav1.CreateOptions{})
		return err
	})
}

// createNodes creates the nodes from a number on. The first is the pods'.
func (p pinning) createNodes(ctx context.Context, from int) error {
	err := createAll(ctx, shapeNodes-from, func(ctx context.Context, i int) error {
		_, err := p.clients[i%connections].CoreV1().Nodes().Create(ctx, emptyNode(from+i), metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("create nodes: %w", err)
	}
	return nil
}

func (p pinning) createPods(ctx context.Context) error {
	err := createAll(ctx, shapePods, func(ctx context.Context, i int) error {
		// The answer is not decoded: it is the server that is measured.
		return p.clients[i%connections].CoreV1().RESTClient().Post().Namespace(metav1.NamespaceDefault).Resource("pods").
			Body(pinnedPod(pinnedNode)).Do(ctx).Error()
	})
	if err != nil {
		return fmt.Errorf("create pods: %w", err)
	}
	return nil
}

// untilBound starts something and measures until all pods are bound because of
// it.
func (p pinning) untilBound(ctx context.Context, profile string, start func(context.Context) error) (spent, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	events, err := p.watchBound(ctx)
	if err != nil {
		return spent{}, err
	}
	defer events.Stop()
	written := p.profile(ctx, p.options, profile)
	before, err := p.cpu()
	if err != nil {
		return spent{}, err
	}
	begin, bound := time.Now(), 0
	started := make(chan error, 1)
	go func() {
		err := start(ctx)
		if err != nil {
			cancel() // there is nothing to wait for
		}
		started <- err
	}()
	took, err := since(begin, events, func(event watch.Event) bool {
		if event.Type == watch.Added {
			bound++
		}
		return bound == shapePods
	})
	if err := errors.Join(err, <-started); err != nil {
		return spent{}, err
	}
	after, err := p.cpu()
	return spent{took, after - before}, errors.Join(err, written())
}

// watchBound watches the pods of the node: each is new to it when it is bound.
func (p pinning) watchBound(ctx context.Context) (watch.Interface, error) {
	pods, err := p.pods()
	if err != nil {
		return nil, err
	}
	list, err := pods.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	return follow(ctx, pods, list.ResourceVersion,
		metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", pinnedNode).String()})
}

// connections returns clients that each have a connection of their own.
func (p *process) connections(n int) ([]kubernetes.Interface, error) {
	var clients []kubernetes.Interface
	for range n {
		config, err := p.config()
		if err != nil {
			return nil, err
		}
		// Configurations that dial for themselves share no transport.
		config.Dial = (&net.Dialer{}).DialContext
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		clients = append(clients, client)
	}
	return clients, nil
}

// createAll calls create for every number below n, and returns the first error.
func createAll(ctx context.Context, n int, create func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workqueue.ParallelizeUntil(ctx, creators, n, func(i int) {
		if err := create(ctx, i); err != nil {
			cancel(err)
		}
	})
	return context.Cause(ctx)
}

// emptyNode is a node that nothing runs on and no agent speaks for. The first
// has room for all pods.
func emptyNode(i int) *corev1.Node {
	name, pods := fmt.Sprintf("empty-%05d", i), "110"
	if i == 0 {
		name, pods = pinnedNode, "90000"
	}
	room := corev1.ResourceList{
		corev1.ResourcePods:   resource.MustParse(pods),
		corev1.ResourceCPU:    resource.MustParse("4"),
		corev1.ResourceMemory: resource.MustParse("32Gi"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status:     corev1.NodeStatus{Capacity: room, Allocatable: room},
	}
}

// pinnedPod is a pod that only one node will do for, ready or not. It gets no token:
// the benchmark of Kubernetes' own scheduler runs without what would mount one.
func pinnedPod(node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pinned-"},
		Spec: corev1.PodSpec{
			Affinity:    pinned(node),
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers:  []corev1.Container{{Name: "pause", Image: "registry.k8s.io/pause:3.10.1"}},

			AutomountServiceAccountToken: ptr.To(false),
		},
	}
}
