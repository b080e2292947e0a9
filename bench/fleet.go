package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/apps/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"
)

const (
	agentName = "bench-agent"
	// patience bounds each wait.
	patience = 3 * time.Minute
	// fleetSize is the small fleet's, joining how many nodes join it one after
	// the other.
	fleetSize, joining = 1000, 20
)

// fleet is a control plane with many simulated nodes.
type fleet struct {
	*process
	client kubernetes.Interface
	size   int
}

// config returns how to reach the server.
func (p *process) config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig())
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.ContentType = runtime.ContentTypeProtobuf
	return config, nil
}

func (p *process) connect() (kubernetes.Interface, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// withFleet runs a control plane with n simulated nodes for as long as measure
// takes.
func withFleet(o options, n int, measure func(*fleet) ([]figure, error)) ([]figure, error) {
	return with(o, []string{"--simulate-nodes", strconv.Itoa(n)}, func(p *process) ([]figure, error) {
		client, err := p.connect()
		if err != nil {
			return nil, err
		}
		return measure(&fleet{process: p, client: client, size: n})
	})
}

func (f *fleet) sets() typed.DaemonSetInterface {
	return f.client.AppsV1().DaemonSets(metav1.NamespaceDefault)
}

// pods returns a client that sees the pods' metadata alone, which is cheap to
// watch.
func (p *process) pods() (metadata.ResourceInterface, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(metav1.NamespaceDefault), nil
}

// follow watches pods from a version on. A server ends the watches of those who
// read slowly; this one goes on where it was.
func follow(ctx context.Context, pods metadata.ResourceInterface, version string, o metav1.ListOptions) (watch.Interface, error) {
	return watchtools.NewRetryWatcherWithContext(ctx, version, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, at metav1.ListOptions) (watch.Interface, error) {
			at.FieldSelector, at.LabelSelector = o.FieldSelector, o.LabelSelector
			return pods.Watch(ctx, at)
		},
	})
}

// measureFleet measures how fast many nodes get, change and lose their agent,
// and how fast single ones get it.
func measureFleet(ctx context.Context, o options) ([]figure, error) {
	return withFleet(o, fleetSize, func(f *fleet) ([]figure, error) {
		time.Sleep(settle) // the nodes' first heartbeats are not what is measured
		life, err := f.life(ctx, o, "fleet")
		if err != nil {
			return nil, err
		}
		return []figure{
			f.figure("start to ready", seconds(f.ready), "s", target{}),
			f.figure("apply to all ready", seconds(life.rollout), "s", atMost(2.5)),
			f.figure("new image to all ready, 10 % at a time", seconds(life.update), "s", atMost(4)),
			f.figure("node joins to pod ready, median", milliseconds(life.joins[len(life.joins)/2]), "ms", atMost(250)),
			f.figure("node joins to pod ready, worst", milliseconds(life.joins[len(life.joins)-1]), "ms", target{}),
			f.figure("delete to all pods gone", seconds(life.deletion), "s", atMost(2.5)),
			f.figure("most memory", life.peak, "MB", target{}),
		}, nil
	})
}

func (f *fleet) figure(name string, value float64, unit string, t target) figure {
	return figure{fmt.Sprintf("%d nodes: %s", f.size, name), value, unit, t}
}

// life is what a DaemonSet took from its creation to its end.
type life struct {
	rollout, update, deletion time.Duration
	rolloutCPU                time.Duration // processor time of the rollout
	joins                     []time.Duration
	peak                      float64 // MB
}

// life creates a DaemonSet, updates it, lets nodes join it and deletes it.
func (f *fleet) life(ctx context.Context, o options, name string) (l life, err error) {
	before, err := f.cpu()
	if err != nil {
		return l, err
	}
	if l.rollout, err = f.profiled(ctx, o, name+"-rollout", f.apply); err != nil {
		return l, fmt.Errorf("roll out: %w", err)
	}
	after, err := f.cpu()
	if err != nil {
		return l, err
	}
	l.rolloutCPU = after - before
	if l.update, err = f.profiled(ctx, o, name+"-update", f.update); err != nil {
		return l, fmt.Errorf("update: %w", err)
	}
	if l.joins, err = f.joins(ctx, joining); err != nil {
		return l, fmt.Errorf("join: %w", err)
	}
	if err := f.heap(ctx, o, name); err != nil {
		return l, err
	}
	if l.deletion, err = f.profiled(ctx, o, name+"-deletion", f.remove); err != nil {
		return l, fmt.Errorf("delete: %w", err)
	}
	l.peak, err = f.peak()
	return l, err
}

// profiled takes a profile of what it calls.
func (f *fleet) profiled(ctx context.Context, o options, name string, call func(context.Context) (time.Duration, error)) (time.Duration, error) {
	written := f.profile(ctx, o, name)
	took, err := call(ctx)
	if err != nil {
		return 0, err
	}
	return took, written()
}

// apply creates a DaemonSet and returns how long it takes until it reports all
// its pods ready.
func (f *fleet) apply(ctx context.Context) (time.Duration, error) {
	return f.untilReady(ctx, func(ctx context.Context) (*appsv1.DaemonSet, error) {
		return f.sets().Create(ctx, agent(), metav1.CreateOptions{})
	})
}

// update changes the image and returns how long it takes until the DaemonSet
// reports all its pods updated and ready.
func (f *fleet) update(ctx context.Context) (time.Duration, error) {
	patch := `{"spec":{"template":{"spec":{"containers":[{"name":"agent","image":"busybox:1.37"}]}}}}`
	return f.untilReady(ctx, func(ctx context.Context) (*appsv1.DaemonSet, error) {
		return f.sets().Patch(ctx, agentName, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	})
}

// untilReady makes a change and returns how long it takes until the status of
// the DaemonSet says that all nodes have what it wants.
func (f *fleet) untilReady(ctx context.Context, change func(context.Context) (*appsv1.DaemonSet, error)) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	events, err := f.sets().Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", agentName).String()})
	if err != nil {
		return 0, err
	}
	defer events.Stop()
	begin := time.Now()
	changed, err := change(ctx)
	if err != nil {
		return 0, err
	}
	return since(begin, events, func(event watch.Event) bool {
		set, ok := event.Object.(*appsv1.DaemonSet)
		return ok && set.Status.ObservedGeneration >= changed.Generation &&
			int(set.Status.UpdatedNumberScheduled) == f.size && int(set.Status.NumberReady) == f.size
	})
}

// remove deletes the DaemonSet and returns how long it takes until all its pods
// are gone.
func (f *fleet) remove(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pods, err := f.pods()
	if err != nil {
		return 0, err
	}
	selector := metav1.ListOptions{LabelSelector: labels.Set{"app": agentName}.String()}
	list, err := pods.List(ctx, selector)
	if err != nil {
		return 0, err
	}
	events, err := follow(ctx, pods, list.ResourceVersion, selector)
	if err != nil {
		return 0, err
	}
	defer events.Stop()
	left := len(list.Items)
	begin := time.Now()
	if err := f.sets().Delete(ctx, agentName, metav1.DeleteOptions{}); err != nil {
		return 0, err
	}
	return since(begin, events, func(event watch.Event) bool {
		switch event.Type {
		case watch.Added:
			left++
		case watch.Deleted:
			left--
		}
		return left == 0
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
		if event.Type == watch.Error {
			return 0, apierrors.FromObject(event.Object)
		}
		if enough(event) {
			return time.Since(begin), nil
		}
	}
	return 0, fmt.Errorf("it had not come about after %v", time.Since(begin))
}
