package node

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/component-helpers/node/util"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/machine"
	"github.com/garrison-project/garrison/internal/prepull"
)

// outpost is a machine with a runtime, both as the test wants them.
type outpost struct {
	mu        sync.Mutex
	facts     machine.Facts
	memory    machine.Memory
	disk      machine.Filesystem
	condition agent.Condition
	down      error
	hangs     bool // the runtime does not answer
	images    []agent.Image
	held      []agent.Holding
	events    []string
}

func newOutpost() *outpost {
	return &outpost{
		facts:     smallMachine(),
		memory:    machine.Memory{Total: 8 << 30, WorkingSet: 1 << 30},
		disk:      machine.Filesystem{Capacity: 1000, Available: 500, Inodes: 1000, InodesFree: 500},
		condition: agent.Condition{Name: "containerd", Version: "1.6.20"},
		images:    []agent.Image{image("log-shipper")},
	}
}

// change changes the machine.
func (o *outpost) change(how func(*outpost)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	how(o)
}

func (o *outpost) Facts() (machine.Facts, error) { return o.facts, nil }
func (o *outpost) Memory() (machine.Memory, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.memory, nil
}
func (o *outpost) PIDs() (machine.PIDs, error) { return machine.PIDs{Max: 1000, Running: 10}, nil }

func (o *outpost) filesystem(string) (machine.Filesystem, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.disk, nil
}

func (o *outpost) Condition(ctx context.Context) (agent.Condition, error) {
	o.mu.Lock()
	condition, down, hangs := o.condition, o.down, o.hangs
	o.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return agent.Condition{}, ctx.Err()
	}
	return condition, down
}

func (o *outpost) Look(context.Context) ([]agent.Holding, error) { return o.held, nil }

func (o *outpost) Images(context.Context) ([]agent.Image, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.images), nil
}

func (o *outpost) RemoveImage(_ context.Context, id string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.images = slices.DeleteFunc(o.images, func(i agent.Image) bool { return i.ID == id })
	return nil
}

// The outpost is its own recorder: it notes the reasons.
func (o *outpost) Event(_ runtime.Object, _, reason, _ string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, reason)
}
func (o *outpost) Eventf(runtime.Object, string, string, string, ...any) { panic("not used") }
func (o *outpost) AnnotatedEventf(runtime.Object, map[string]string, string, string, string, ...any) {
	panic("not used")
}

// told returns the reasons of the events since the last call.
func (o *outpost) told() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.events = nil }()
	return strings.Join(o.events, " ")
}

func (o *outpost) settings() Settings {
	thresholds, err := ParseThresholds("memory.available<100Mi,nodefs.available<10%")
	if err != nil {
		panic(err)
	}
	return Settings{
		Name: "post", Addresses: []net.IP{net.IPv4(192, 0, 2, 7)}, Port: 10250,
		Labels: map[string]string{"disk": "nvme"}, MaxPods: 110, Version: "v1.37.2", Features: "telling",
		Taints:   []corev1.Taint{{Key: "reserved", Effect: corev1.TaintEffectNoSchedule}},
		Eviction: thresholds, ImageGC: DefaultImageGC, StorageDir: "/data", ImageDir: "/images",
	}
}

// inCluster runs a test with a fake API server and a fake time.
func inCluster(t *testing.T, existing []runtime.Object, test func(t *testing.T, o *outpost, api *fake.Clientset)) {
	synctest.Test(t, func(t *testing.T) {
		test(t, newOutpost(), fake.NewClientset(existing...))
	})
}

// station runs a node until stop is called.
func station(t *testing.T, o *outpost, api *fake.Clientset, settings Settings) (n *Node, stop func()) {
	t.Helper()
	n, err := New(Options{Settings: settings, Client: api, Runtime: o, Recorder: o, Machine: o, Filesystem: o.filesystem, Keep: func() []string { return []string{"kept:v1"} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Run(ctx) }()
	return n, func() { cancel(); <-ended }
}

func get(t *testing.T, api *fake.Clientset) *corev1.Node {
	t.Helper()
	node, err := api.CoreV1().Nodes().Get(t.Context(), "post", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// patches counts the writes of the status.
func patches(api *fake.Clientset) int {
	n := 0
	for _, action := range api.Actions() {
		if action.GetVerb() == "patch" && action.GetSubresource() == "status" {
			n++
		}
	}
	return n
}

// settle lets a time pass, and all that happens in it.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestRegistration(t *testing.T) {
	inCluster(t, nil, func(t *testing.T, o *outpost, api *fake.Clientset) {
		_, stop := station(t, o, api, o.settings())
		defer stop()
		settle(time.Second)
		node := get(t, api)
		want := map[string]string{
			"kubernetes.io/hostname": "post", "kubernetes.io/os": "linux", "kubernetes.io/arch": defaultLabels(Settings{})["kubernetes.io/arch"],
			"beta.kubernetes.io/os": "linux", "disk": "nvme",
		}
		for name, value := range want {
			if node.Labels[name] != value {
				t.Errorf("label %s is %q, want %q", name, node.Labels[name], value)
			}
		}
		if node.Annotations[prepull.FeaturesAnnotation] != "telling" || len(node.Spec.Taints) != 1 || !isReady(&node.Status) {
			t.Errorf("annotations %v, taints %v, ready %v", node.Annotations, node.Spec.Taints, isReady(&node.Status))
		}
		if told := o.told(); told != "Starting NodeHasSufficientMemory NodeHasNoDiskPressure NodeHasSufficientPID NodeReady" {
			t.Errorf("events: %s", told)
		}
		lease, err := api.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), "post", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		renewed := lease.Spec.RenewTime.Time
		if *lease.Spec.LeaseDurationSeconds != 40 || len(lease.OwnerReferences) != 1 || lease.OwnerReferences[0].Name != "post" {
			t.Errorf("lease %+v, owners %v", lease.Spec, lease.OwnerReferences)
		}
		settle(11 * time.Second)
		if lease, err = api.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), "post", metav1.GetOptions{}); err != nil || !lease.Spec.RenewTime.After(renewed) {
			t.Errorf("lease of %v renewed at %v, %v", renewed, lease.Spec.RenewTime, err)
		}
	})
}

func TestStatusIsWrittenWhenItChangesAndEveryFiveMinutes(t *testing.T) {
	inCluster(t, nil, func(t *testing.T, o *outpost, api *fake.Clientset) {
		_, stop := station(t, o, api, o.settings())
		defer stop()
		settle(4 * time.Minute)
		if n := patches(api); n != 0 {
			t.Errorf("%d writes though nothing changed", n)
		}
		settle(2 * time.Minute)
		if n := patches(api); n != 1 {
			t.Errorf("%d writes after six minutes, want 1", n)
		}
		o.told()
		o.change(func(o *outpost) { o.down = errors.New("connection refused") })
		settle(10 * time.Second)
		if node := get(t, api); isReady(&node.Status) || patches(api) != 2 || o.told() != "NodeNotReady" {
			t.Errorf("ready %v, %d writes", isReady(&node.Status), patches(api))
		}
		o.change(func(o *outpost) { o.down = nil })
		settle(time.Second)
		if node := get(t, api); !isReady(&node.Status) || o.told() != "NodeReady" {
			t.Error("not ready soon after the runtime has come back")
		}
		o.change(func(o *outpost) { o.hangs = true })
		settle(40 * time.Second)
		if node := get(t, api); isReady(&node.Status) || o.told() != "NodeNotReady" {
			t.Error("ready though the runtime has not answered for long")
		}
		o.change(func(o *outpost) { o.hangs = false })
		settle(31 * time.Second)
		if node := get(t, api); !isReady(&node.Status) || o.told() != "NodeReady" {
			t.Error("not ready though the runtime answers again")
		}
		o.change(func(o *outpost) { o.memory.WorkingSet = o.memory.Total })
		settle(10 * time.Second)
		if _, c := conditionOf(t, api, corev1.NodeMemoryPressure); c.Status != corev1.ConditionTrue {
			t.Errorf("no pressure while all memory is in use: %+v", c)
		}
	})
}

func conditionOf(t *testing.T, api *fake.Clientset, kind corev1.NodeConditionType) (int, *corev1.NodeCondition) {
	t.Helper()
	at, c := util.GetNodeCondition(&get(t, api).Status, kind)
	if c == nil {
		t.Fatalf("no condition %s", kind)
	}
	return at, c
}

// A node that comes back finds its record as others have left it.
func TestExistingNode(t *testing.T) {
	existing := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "post", Labels: map[string]string{"zone": "a", "kubernetes.io/hostname": "old"}},
		Spec:       corev1.NodeSpec{Unschedulable: true},
		Status: corev1.NodeStatus{
			Capacity:   corev1.ResourceList{"example.com/dongle": resource.MustParse("1"), "hugepages-2Mi": resource.MustParse("4Mi")},
			NodeInfo:   corev1.NodeSystemInfo{BootID: "boot-0"},
			Conditions: []corev1.NodeCondition{{Type: "NetworkUnavailable", Status: corev1.ConditionFalse}, {Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.2"}},
		},
	}
	inCluster(t, []runtime.Object{existing}, func(t *testing.T, o *outpost, api *fake.Clientset) {
		o.change(func(o *outpost) { o.down = errors.New("connection refused") })
		n, stop := station(t, o, api, o.settings())
		defer stop()
		if ready := n.Readiness(); ready != nil {
			t.Errorf("before anything was reported: %+v", ready)
		}
		settle(time.Second)
		if ready := n.Readiness(); ready == nil || ready.Status != corev1.ConditionFalse {
			t.Errorf("with the record of an earlier agent and without a runtime: %+v", ready)
		}
		o.change(func(o *outpost) { o.down = nil })
		settle(time.Second)
		node := get(t, api)
		if ready := n.Readiness(); ready == nil || ready.Status != corev1.ConditionTrue {
			t.Errorf("with a runtime: %+v", ready)
		}
		if node.Labels["zone"] != "a" || node.Labels["kubernetes.io/hostname"] != "post" || node.Labels["disk"] != "" || !node.Spec.Unschedulable || len(node.Spec.Taints) != 0 {
			t.Errorf("labels %v, spec %+v", node.Labels, node.Spec)
		}
		if _, found := node.Status.Capacity["hugepages-2Mi"]; found || len(node.Status.Capacity) != 5 {
			t.Errorf("capacity %v", node.Status.Capacity)
		}
		if len(node.Status.Addresses) != 2 || node.Status.Addresses[0].Address != "192.0.2.7" || len(node.Status.Conditions) != 5 {
			t.Errorf("addresses %v, conditions %v", node.Status.Addresses, node.Status.Conditions)
		}
		if told := o.told(); told != "Starting Rebooted NodeHasSufficientMemory NodeHasNoDiskPressure NodeHasSufficientPID NodeNotReady NodeReady" {
			t.Errorf("events: %s", told)
		}
	})
}

func TestSomeoneElsesNode(t *testing.T) {
	simulated := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "post", Annotations: map[string]string{"garrison.dev/simulated": "true"}}}
	n := &Node{Options: Options{Settings: newOutpost().settings(), Client: fake.NewClientset(simulated)}}
	err := n.register(t.Context(), view{Settings: &n.Settings, Now: start})
	if err == nil || !strings.Contains(err.Error(), "node post exists and is simulated") {
		t.Errorf("register: %v", err)
	}
}

func TestRegistrationIsRepeated(t *testing.T) {
	inCluster(t, nil, func(t *testing.T, o *outpost, api *fake.Clientset) {
		tries := 0
		api.PrependReactor("create", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			tries++
			return tries < 10, nil, errors.New("nobody answers")
		})
		_, stop := station(t, o, api, o.settings())
		defer stop()
		settle(45 * time.Second)
		if node := get(t, api); !isReady(&node.Status) || tries != 10 {
			t.Errorf("ready %v after %d tries", isReady(&node.Status), tries)
		}
	})
}

func TestAwaitPodCIDR(t *testing.T) {
	inCluster(t, nil, func(t *testing.T, o *outpost, api *fake.Clientset) {
		n, stop := station(t, o, api, o.settings())
		defer stop()
		ranges := make(chan []string, 1)
		go func() {
			got, err := n.AwaitPodCIDR(t.Context())
			if err != nil {
				t.Error(err)
			}
			ranges <- got
		}()
		settle(time.Minute)
		node := get(t, api)
		node.Spec.PodCIDRs = []string{"10.88.3.0/24"}
		if _, err := api.CoreV1().Nodes().Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := <-ranges; !slices.Equal(got, []string{"10.88.3.0/24"}) {
			t.Errorf("ranges %v", got)
		}
		if got := n.Current(); got == nil || got.Spec.PodCIDRs[0] != "10.88.3.0/24" {
			t.Errorf("current node %v", got)
		}
	})
}

func TestImagesGoWhenTheDiskFillsUp(t *testing.T) {
	inCluster(t, nil, func(t *testing.T, o *outpost, api *fake.Clientset) {
		o.images = []agent.Image{image("used"), image("unused"), image("spare"), image("kept")}
		o.images[1].Size, o.images[2].Size = 60, 60
		o.held = []agent.Holding{{Containers: []agent.ContainerRecord{{ImageID: "used"}}}}
		_, stop := station(t, o, api, o.settings())
		defer stop()
		settle(6 * time.Minute)
		if got := ids(o.images); got != "used unused spare kept" {
			t.Errorf("with room left: %s", got)
		}
		o.change(func(o *outpost) { o.disk.Available = 149 })
		settle(5 * time.Minute)
		if got := ids(o.images); got != "used unused kept" {
			t.Errorf("with 85%% in use: %s", got)
		}
		o.told()
		// Pressure is dealt with at once, and all that can go goes.
		o.change(func(o *outpost) { o.disk.Available = 50 })
		settle(10 * time.Second)
		if got := ids(o.images); got != "used kept" {
			t.Errorf("under pressure: %s", got)
		}
		if told := o.told(); told != "NodeHasDiskPressure FreeDiskSpaceFailed" && told != "FreeDiskSpaceFailed NodeHasDiskPressure" {
			t.Errorf("events: %s", told)
		}
	})
}
