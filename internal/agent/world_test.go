package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/simruntime"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// world is an agent with all that is around it, in a bubble of synctest. What
// happens is noted with the time; what happens at one time is sorted.
type world struct {
	t       *testing.T
	began   time.Time
	api     *api
	runtime *simruntime.Runtime
	// looking and finding, if set, come before the runtime tells what it holds, or
	// whether it has an image.
	looking, finding func(context.Context) error
	agent            *agent.Agent
	volumes          *volumes
	prober           *prober
	static           *static
	stop             func()
	podLogs          string
	// nodeGone: the Node has been deleted.
	nodeGone atomic.Bool
	// hidden: the runtime does not tell which images there are.
	hidden atomic.Bool
	// unseen is the pod whose containers the runtime cannot inspect.
	unseen atomic.Value

	mu    sync.Mutex
	notes []note
}

type note struct {
	at   time.Duration
	text string
}

// How long calls of the runtime take.
var duration = map[string]time.Duration{
	"CreateSandbox": 110 * time.Millisecond, "StartContainer": 50 * time.Millisecond,
	"PullImage": 2 * time.Second, "StopSandbox": 10 * time.Millisecond,
	"RemoveSandbox": 10 * time.Millisecond, "RemoveContainer": 10 * time.Millisecond,
	"KillContainer": 10 * time.Millisecond,
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, began: time.Now(), podLogs: t.TempDir(), runtime: simruntime.New(clock.RealClock{})}
	w.api = newAPI(func(what string) { w.note("%s", what) })
	w.runtime.Before(func(ctx context.Context, c simruntime.Call) error {
		target := c.Target
		if strings.HasSuffix(c.Method, "Sandbox") {
			target = "sandbox"
		}
		w.note("runtime: %s %s %s #%d", c.Method, c.Pod.Name, target, c.Attempt)
		select {
		case <-time.After(duration[c.Method]):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	w.volumes = &volumes{w: w, up: map[types.UID]bool{}}
	w.static = &static{read: true, changed: make(chan struct{}, 1)}
	w.startAgent()
	return w
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, note{time.Since(w.began), fmt.Sprintf(format, args...)})
}

// told are the notes since the last call.
func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortStableFunc(w.notes, func(a, b note) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return strings.Compare(a.text, b.text)
	})
	var out strings.Builder
	for _, n := range w.notes {
		fmt.Fprintf(&out, "%8s  %s\n", n.at, n.text)
	}
	w.notes = nil
	return out.String()
}

// startAgent runs a new agent on what the machine and the API have.
func (w *world) startAgent() {
	w.prober = &prober{w: w, results: map[string]podstep.ProbeResult{}}
	informer := w.api.informer()
	a, err := agent.New(agent.Options{
		Settings: agent.Settings{
			NodeName: "node-a", PodLogs: w.podLogs, ClusterDNS: []string{"10.0.0.10"}, ClusterDomain: "cluster.local",
		},
		Pods: informer, Node: w.node, Runtime: troubled{w.runtime, w}, Volumes: w.volumes, Environment: plain{},
		Prober: w.prober, Hooks: hooks{w}, Writer: w.api, Recorder: recorder{w}, Static: w.static,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.agent = a
	ctx, cancel := context.WithCancel(w.t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { informer.RunWithContext(ctx) })
	parts.Go(func() { a.Run(ctx) })
	w.stop = func() { cancel(); parts.Wait() }
}

// troubled is the runtime, with what the test has in store for it.
type troubled struct {
	*simruntime.Runtime
	w *world
}

func (r troubled) Look(ctx context.Context) ([]agent.Holding, error) {
	if r.w.looking != nil {
		if err := r.w.looking(ctx); err != nil {
			return nil, err
		}
	}
	holdings, err := r.Runtime.Look(ctx)
	for i := range holdings {
		if holdings[i].Pod.Name == r.w.unseen.Load() {
			holdings[i].Containers, holdings[i].Err = nil, errors.New("inspect container: no end is in sight")
		}
	}
	return holdings, err
}

func (r troubled) ImageID(ctx context.Context, image string) (string, error) {
	if r.w.hidden.Load() {
		return "", errors.New("no answer")
	}
	if r.w.finding != nil {
		if err := r.w.finding(ctx); err != nil {
			return "", err
		}
	}
	return r.Runtime.ImageID(ctx, image)
}

// leaveFiles has files of a pod be there that nobody asks for.
func (w *world) leaveFiles(t *testing.T, uid types.UID) {
	w.volumes.mu.Lock()
	w.volumes.up[uid] = true
	w.volumes.mu.Unlock()
	if err := os.MkdirAll(filepath.Join(w.podLogs, "default_left_"+string(uid), "web"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// logs are the folders of the output of pods.
func (w *world) logs(t *testing.T) string {
	entries, err := os.ReadDir(w.podLogs)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, entry := range entries {
		fmt.Fprintln(&out, entry.Name())
	}
	return out.String()
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// container gives the ID of a container's newest attempt.
func (w *world) container(name string) string {
	holdings, err := w.runtime.Look(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	id, attempt := "", -1
	for _, h := range holdings {
		for _, c := range h.Containers {
			if c.Name == name && c.Attempt > attempt {
				id, attempt = c.ID, c.Attempt
			}
		}
	}
	return id
}

// node is a small one, nil while it is gone.
func (w *world) node() *corev1.Node {
	if w.nodeGone.Load() {
		return nil
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-a", UID: "node-uid"},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"),
				corev1.ResourcePods: resource.MustParse("5"),
			},
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}},
		},
	}
}

// volumes are there at once, unless they fail.
type volumes struct {
	w    *world
	mu   sync.Mutex
	up   map[types.UID]bool
	fail error
	// stuck keeps them from being torn down; broken has setting up panic, and hung
	// has it take for ever.
	stuck, broken, hung bool
}

func (v *volumes) SetUp(ctx context.Context, pod *corev1.Pod) (time.Time, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail == nil {
		v.w.note("volumes: set up %s", pod.Name)
	}
	v.up[pod.UID] = true
	if v.hung {
		v.mu.Unlock()
		<-ctx.Done()
		v.mu.Lock()
		return time.Time{}, ctx.Err()
	}
	if v.broken {
		panic("index out of range")
	}
	return time.Time{}, v.fail
}

// behave has them work, fail, be stuck, hang or break.
func (v *volumes) behave(how string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fail, v.stuck, v.broken, v.hung = nil, how == "stuck", how == "break", how == "hang"
	if how == "fail" {
		v.fail = errors.New(`MountVolume.SetUp failed for volume "config" : configmap "none" not found`)
	}
}

// lose forgets all files, as if somebody had removed them.
func (v *volumes) lose() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.up)
}

func (v *volumes) failWith(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fail = err
}

func (v *volumes) Mounts(context.Context, agent.MountRequest) ([]agent.Mount, error) { return nil, nil }

func (v *volumes) TearDown(_ context.Context, uid types.UID, _ bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stuck {
		return errors.New("device or resource busy")
	}
	if v.up[uid] {
		v.w.note("volumes: tear down %s", uid)
	}
	delete(v.up, uid)
	return nil
}

func (v *volumes) List() ([]types.UID, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []types.UID
	for uid := range v.up {
		out = append(out, uid)
	}
	return out, nil
}

// plain has no variables.
type plain struct{}

func (plain) Resolve(_ context.Context, r agent.ContainerRequest) (agent.Process, error) {
	if len(r.Spec.Env) > 0 {
		return agent.Process{}, fmt.Errorf("couldn't find key %s in ConfigMap default/none", r.Spec.Env[0].Name)
	}
	return agent.Process{Command: r.Spec.Command, Args: r.Spec.Args}, nil
}

// prober gives the results it was told.
type prober struct {
	w       *world
	mu      sync.Mutex
	results map[string]podstep.ProbeResult // by container
}

func (p *prober) set(pod types.UID, r podstep.ProbeResult) {
	p.mu.Lock()
	p.results[r.Container] = r
	p.mu.Unlock()
	p.w.agent.Wake(pod)
}

func (p *prober) Sync(_ *corev1.Pod, targets []agent.ProbeTarget) []podstep.ProbeResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []podstep.ProbeResult
	for _, target := range targets {
		if r, known := p.results[target.Spec.Name]; known && r.Attempt == target.Attempt {
			out = append(out, r)
		}
	}
	return out
}

func (p *prober) Forget(types.UID) {}

// hooks take as long as they sleep, and fail if they are commands.
type hooks struct{ w *world }

func (h hooks) Run(ctx context.Context, hook agent.HookRequest) error {
	h.w.note("hook: of %s", hook.Spec.Name)
	if hook.Handler.Sleep == nil {
		time.Sleep(10 * time.Millisecond)
		return errors.New("command failed")
	}
	select {
	case <-time.After(time.Duration(hook.Handler.Sleep.Seconds) * time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// recorder notes events.
type recorder struct{ w *world }

func (r recorder) Event(object runtime.Object, kind, reason, message string) {
	about := object.(*corev1.ObjectReference)
	r.w.note("event: %s: %s %s %s: %s", about.Name, strings.TrimPrefix(about.FieldPath, "spec."), kind, reason, message)
}

func (r recorder) Eventf(object runtime.Object, kind, reason, format string, args ...any) {
	r.Event(object, kind, reason, fmt.Sprintf(format, args...))
}

func (r recorder) AnnotatedEventf(object runtime.Object, _ map[string]string, kind, reason, format string, args ...any) {
	r.Eventf(object, kind, reason, format, args...)
}

// static pods are those it was told.
type static struct {
	mu      sync.Mutex
	pods    []*corev1.Pod
	read    bool
	changed chan struct{}
}

func (s *static) set(pods []*corev1.Pod) {
	s.mu.Lock()
	s.pods = pods
	s.mu.Unlock()
	s.changed <- struct{}{}
}

func (s *static) Pods() ([]*corev1.Pod, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pods, s.read
}

func (s *static) Watch(ctx context.Context, changed func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
			changed()
		}
	}
}
