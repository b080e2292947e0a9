package node

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/machine"
	"github.com/garrison-project/garrison/internal/loop"
)

const (
	// lookInterval is how often the machine is looked at; what has changed is
	// reported at once.
	lookInterval = 10 * time.Second
	// unreadyInterval takes its place while the node is not ready.
	unreadyInterval = 500 * time.Millisecond
	// reportInterval is how often the status is written though nothing changed.
	reportInterval = 5 * time.Minute
	// imagesInterval is how often images are listed for the status, and
	// collectInterval how often those to remove are looked for.
	imagesInterval  = 30 * time.Second
	collectInterval = 5 * time.Minute
	// pressureTransition is how long pressure is reported after it has gone.
	pressureTransition = 5 * time.Minute
	// maxRegisterPause bounds the pause between two tries to reach the API server.
	maxRegisterPause = 7 * time.Second
)

// DefaultLeaseDuration is what kubelets have.
const DefaultLeaseDuration = 40 * time.Second

// Runtime is what the node asks of the container runtime.
type Runtime interface {
	Condition(ctx context.Context) (agent.Condition, error)
	Look(ctx context.Context) ([]agent.Holding, error)
	Images(ctx context.Context) ([]agent.Image, error)
	RemoveImage(ctx context.Context, id string) error
}

// Machine is what the node reads of the machine.
type Machine interface {
	Facts() (machine.Facts, error)
	Memory() (machine.Memory, error)
	PIDs() (machine.PIDs, error)
}

// Settings are what an administrator decides about a node.
type Settings struct {
	Name string // of the Node object, and its label and address that are called host names
	// Addresses are those at which others reach the machine, the main one first.
	Addresses []net.IP
	Port      int // that the agent serves on
	// Labels and Taints are given to a Node that does not exist yet.
	Labels map[string]string
	Taints []corev1.Taint
	// Features are what the agent can do, for prepull.FeaturesAnnotation.
	Features string
	// PodCIDR is the range of the pods' addresses, empty if the cluster hands it
	// out. It is written to a Node that does not exist yet.
	PodCIDR           string
	MaxPods           int
	ExtendedResources corev1.ResourceList
	// SystemReserved and KubeReserved are held back from pods.
	SystemReserved, KubeReserved corev1.ResourceList
	Eviction                     Thresholds
	ImageGC                      ImageGC
	// LeaseDuration is how long the node's lease is good for, in whole seconds;
	// by default DefaultLeaseDuration. It is renewed four times in that time.
	LeaseDuration time.Duration
	// StorageDir lies in the file system that pods write to, ImageDir in that of
	// the images.
	StorageDir, ImageDir string
	// Version is reported as the kubelet's.
	Version string
}

// Options are what a Node works with. Settings, Client, Runtime and Recorder are
// required.
type Options struct {
	Settings Settings
	Client   kubernetes.Interface
	Runtime  Runtime
	Recorder record.EventRecorder
	// Keep, if set, names images that are not removed though nobody uses them.
	Keep    func() []string
	Machine Machine // default: the one this process runs on
	// Filesystem reads the file system of a path.
	Filesystem func(path string) (machine.Filesystem, error)
	Clock      clock.WithTicker
}

// Node keeps the record of one machine.
type Node struct {
	Options
	informer cache.SharedIndexInformer
	steps    *loop.Loop[string]
	facts    machine.Facts
	known    chan struct{} // closed when the Node was first seen

	// What follows belongs to the step of its key.
	registered bool
	reported   time.Time
	// written is the Node as the last write left it, replaced the version that it
	// took the place of.
	written  *corev1.Node
	replaced string
	seen     []agent.Image // images, as listed last
	listed   time.Time
	storage  machine.Filesystem // as read last
	gauge    gauge
	album    album

	mu        sync.Mutex
	pressure  Pressure
	short     []Signal
	readiness *corev1.NodeCondition
}

// The keys of the two things that are done again and again.
const (
	keyStatus = "status"
	keyImages = "images"
)

// New reads the machine and returns a node that waits for Run.
func New(options Options) (*Node, error) {
	if options.Machine == nil {
		options.Machine = machine.Open("/")
	}
	if options.Filesystem == nil {
		options.Filesystem = machine.ReadFilesystem
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.Settings.LeaseDuration == 0 {
		options.Settings.LeaseDuration = DefaultLeaseDuration
	}
	n := &Node{Options: options, known: make(chan struct{}), gauge: gauge{thresholds: options.Settings.Eviction, period: pressureTransition}}
	var err error
	if n.facts, err = n.Machine.Facts(); err != nil {
		return nil, err
	}
	n.informer = coreinformers.NewFilteredNodeInformer(n.Client, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, n.Settings.Name).String()
	})
	n.steps = loop.New(loop.Options[string]{
		Name: "node", Workers: 2, Step: n.Step, Clock: n.Clock,
		MinPause: 100 * time.Millisecond, MaxPause: maxRegisterPause,
	})
	seen := sync.OnceFunc(func() { close(n.known) })
	_, err = n.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { seen(); n.steps.Add(keyStatus) },
		UpdateFunc: func(any, any) { n.steps.Add(keyStatus) },
		DeleteFunc: func(any) {
			klog.Background().Info("The node was deleted, which ends its pods; it is registered again when the agent starts anew", "node", n.Settings.Name)
		},
	})
	return n, err
}

// Run registers the node and keeps its record until ctx is done.
func (n *Node) Run(ctx context.Context) {
	n.tell(event{corev1.EventTypeNormal, "Starting", "Starting kubelet."})
	var all sync.WaitGroup
	all.Go(func() { loop.Watch(ctx, n.informer) })
	all.Go(func() { n.keepLease(ctx) })
	n.steps.Add(keyStatus)
	n.steps.AddAt(keyImages, n.Clock.Now().Add(imagesInterval))
	n.steps.Run(ctx)
	all.Wait()
}

// Step does one of the things a node does and returns when it is next due.
func (n *Node) Step(ctx context.Context, key string) (time.Time, error) {
	if key == keyImages {
		return n.Clock.Now().Add(collectInterval), n.collectImages(ctx)
	}
	return n.stepStatus(ctx)
}

// Current is the Node as last seen, nil before it was seen and after it has been
// deleted. It must not be changed.
func (n *Node) Current() *corev1.Node {
	object, exists, err := n.informer.GetStore().GetByKey(n.Settings.Name)
	if err != nil || !exists {
		return nil
	}
	node, _ := object.(*corev1.Node)
	return node
}

// AwaitPodCIDR returns the ranges of the addresses of the node's pods as soon as
// it has them.
func (n *Node) AwaitPodCIDR(ctx context.Context) ([]string, error) {
	found := make(chan []string, 1)
	look := func(object any) {
		node, ok := object.(*corev1.Node)
		if !ok || len(node.Spec.PodCIDRs) == 0 {
			return
		}
		select {
		case found <- node.Spec.PodCIDRs:
		default:
		}
	}
	handler, err := n.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    look,
		UpdateFunc: func(_, object any) { look(object) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch node %s: %w", n.Settings.Name, err)
	}
	defer func() { _ = n.informer.RemoveEventHandler(handler) }()
	select {
	case ranges := <-found:
		return ranges, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the pod CIDR of node %s: %w", n.Settings.Name, context.Cause(ctx))
	}
}

// Pressure is what has run short, and the signals that are short right now.
func (n *Node) Pressure() (Pressure, []Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pressure, n.short
}

// diskShort reports whether the disk is short of room right now.
func (n *Node) diskShort() bool {
	_, short := n.Pressure()
	for _, signal := range short {
		if pressureOf[signal] == corev1.NodeDiskPressure {
			return true
		}
	}
	return false
}

// tell writes an event about the node. Its reference has the name as UID, as those
// of kubelets: kubectl describe looks for it.
func (n *Node) tell(e event) {
	reference := &corev1.ObjectReference{Kind: "Node", Name: n.Settings.Name, UID: types.UID(n.Settings.Name)}
	n.Recorder.Event(reference, e.Type, e.Reason, e.Message)
}

// defaultLabels are those that every node has.
func defaultLabels(s Settings) map[string]string {
	return map[string]string{
		corev1.LabelHostname:      s.Name,
		corev1.LabelOSStable:      runtime.GOOS,
		corev1.LabelArchStable:    runtime.GOARCH,
		"beta.kubernetes.io/os":   runtime.GOOS,
		"beta.kubernetes.io/arch": runtime.GOARCH,
	}
}
