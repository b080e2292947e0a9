package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	goruntime "runtime"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
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
// machine with the client, which therefore does as little as it can: it encodes
// one pod, and reads of answers only that they came. The nodes have no agent.
func measureScheduling(ctx context.Context, o options) ([]figure, error) {
	// A client that does little on two processors wakes them more than it uses them.
	defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(1))
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
	creating []*http.Client
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
	// Silent nodes must not become part of what is measured, and each is to get
	// addresses for its pods.
	return with(o, []string{"--node-monitor-grace-period", "1h", "--cluster-cidr", "10.64.0.0/10"}, func(p *process) ([]figure, error) {
		client, err := p.connect()
		if err != nil {
			return nil, err
		}
		creating, err := p.connections(connections)
		if err != nil {
			return nil, err
		}
		took, err := s.run(pinning{&fleet{process: p, client: client}, creating, o}, ctx)
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
	if err := p.untilQuiet(ctx); err != nil { // every node has its addresses
		return spent{}, err
	}
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
		_, err := p.client.CoreV1().Nodes().Create(ctx, emptyNode(from+i), metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("create nodes: %w", err)
	}
	return nil
}

func (p pinning) createPods(ctx context.Context) error {
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	pod, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, corev1.SchemeGroupVersion), pinnedPod(pinnedNode))
	if err != nil {
		return fmt.Errorf("encode the pod: %w", err)
	}
	url := p.client.CoreV1().RESTClient().Post().Namespace(metav1.NamespaceDefault).Resource("pods").URL().String()
	err = createAll(ctx, shapePods, func(ctx context.Context, i int) error {
		return post(ctx, p.creating[i%connections], url, pod)
	})
	if err != nil {
		return fmt.Errorf("create pods: %w", err)
	}
	return nil
}

// post creates an object, of which the answer tells no more than that it did.
func post(ctx context.Context, client *http.Client, url string, object []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(object))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", runtime.ContentTypeProtobuf)
	request.Header.Set("Accept", runtime.ContentTypeProtobuf)
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s", url, answer.Status)
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
func (p *process) connections(n int) ([]*http.Client, error) {
	var clients []*http.Client
	for range n {
		config, err := p.config()
		if err != nil {
			return nil, err
		}
		// Configurations that dial for themselves share no transport.
		config.Dial = (&net.Dialer{}).DialContext
		client, err := rest.HTTPClientFor(config)
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
