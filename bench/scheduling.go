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

// measureScheduling measures how many pods a second are created through the API
// and bound: from the first create to the last binding that a watch has told
// of. Creating and scheduling run at the same time, and share the machine with
// the client. The nodes have no agent.
func measureScheduling(ctx context.Context, o options) ([]figure, error) {
	// Silent nodes must not become part of what is measured.
	return with(o, []string{"--node-monitor-grace-period", "1h"}, func(p *process) ([]figure, error) {
		clients, err := p.connections(connections)
		if err != nil {
			return nil, err
		}
		if err := createAll(ctx, shapeNodes, func(ctx context.Context, i int) error {
			_, err := clients[i%connections].CoreV1().Nodes().Create(ctx, emptyNode(i), metav1.CreateOptions{})
			return err
		}); err != nil {
			return nil, fmt.Errorf("create nodes: %w", err)
		}
		time.Sleep(settle)
		f := &fleet{process: p, client: clients[0]}
		written := f.profile(ctx, o, "scheduling")
		took, err := f.schedule(ctx, clients)
		if err != nil {
			return nil, err
		}
		label := fmt.Sprintf("%d pods pinned to one of %d nodes: ", shapePods, shapeNodes)
		return []figure{{label + "created and bound", shapePods / seconds(took), "a second", atLeast(2000)}}, written()
	})
}

// schedule creates the pods and returns how long it took until all were bound.
func (f *fleet) schedule(ctx context.Context, clients []kubernetes.Interface) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pods, err := f.pods()
	if err != nil {
		return 0, err
	}
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	// Of a node's pods a watch sees each for the first time when it is bound.
	selector := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", pinnedNode).String()}
	events, err := follow(ctx, pods, list.ResourceVersion, selector)
	if err != nil {
		return 0, err
	}
	defer events.Stop()
	begin, bound := time.Now(), 0
	created := make(chan error, 1)
	go func() {
		err := createAll(ctx, shapePods, func(ctx context.Context, i int) error {
			_, err := clients[i%connections].CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, pinnedPod(pinnedNode), metav1.CreateOptions{})
			return err
		})
		if err != nil {
			cancel() // there is nothing to wait for
		}
		created <- err
	}()
	took, err := since(begin, events, func(event watch.Event) bool {
		if event.Type == watch.Added {
			bound++
		}
		return bound == shapePods
	})
	return took, errors.Join(err, <-created)
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

// pinnedPod is a pod that only one node will do for, ready or not.
func pinnedPod(node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pinned-"},
		Spec: corev1.PodSpec{
			Affinity:    pinned(node),
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers:  []corev1.Container{{Name: "pause", Image: "registry.k8s.io/pause:3.10.1"}},
		},
	}
}
