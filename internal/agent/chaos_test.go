package agent_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/simruntime"
	"github.com/garrison-project/garrison/internal/api/defaults"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// TestChaos has everything go wrong for some minutes: calls of the runtime and
// writes fail, sandboxes break, containers end, agents stop and start, pods come and
// go. Then peace must bring what was asked for, and nothing else, on the machine and
// in the API.
func TestChaos(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newChaos(t, seed)
				defer func() { c.stop(); c.api.source.Broadcaster.Shutdown() }()
				for range 150 {
					c.mishap()
					c.run(time.Duration(c.dice.IntN(3000)) * time.Millisecond)
					c.story += c.told()
				}
				c.peace()
				c.check()
				if t.Failed() {
					t.Logf("what happened:\n%s", c.story)
				}
			})
		})
	}
}

type chaos struct {
	*world
	dice *rand.Rand
	made int
	// story is all that happened.
	story string

	mu sync.Mutex
	// failing calls have so much bad luck, in per cent.
	badLuck int
	luck    *rand.Rand
	// underWay are the calls that change something, which must not be begun twice.
	underWay map[simruntime.Call]bool
}

func newChaos(t *testing.T, seed uint64) *chaos {
	w := newWorld(t)
	c := &chaos{
		world: w, dice: rand.New(rand.NewPCG(seed, 1)), luck: rand.New(rand.NewPCG(seed, 2)),
		underWay: map[simruntime.Call]bool{},
	}
	w.runtime.AddImage("busybox")
	w.runtime.Before(c.before)
	return c
}

// before delays calls, has some fail, and watches over what is done twice.
func (c *chaos) before(ctx context.Context, call simruntime.Call) error {
	c.mu.Lock()
	// A second kill with less grace overtakes the first.
	if call.Method != "KillContainer" && call.Method != "PullImage" {
		if c.underWay[call] {
			c.t.Errorf("begun twice at a time: %+v", call)
		}
		c.underWay[call] = true
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.underWay, call)
		}()
	}
	takes := time.Duration(c.luck.IntN(500)) * time.Millisecond
	fails := c.luck.IntN(100) < c.badLuck
	c.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if fails {
		return errors.New("bad luck")
	}
	return nil
}

// mishap has one thing happen.
func (c *chaos) mishap() {
	switch c.dice.IntN(12) {
	case 0, 1, 2:
		c.create()
	case 3:
		c.delete()
	case 4:
		c.exit()
	case 5:
		c.breakSandbox()
	case 6:
		c.stop()
		c.run(time.Duration(c.dice.IntN(20)) * time.Second)
		c.startAgent()
	case 7:
		c.mu.Lock()
		c.badLuck = c.dice.IntN(60)
		c.mu.Unlock()
	case 8:
		c.api.fail(errors.New("the API server is away"))
	case 9, 10:
		c.api.fail(nil)
	case 11:
		c.volumes.failWith([]error{nil, errors.New("no volumes")}[c.dice.IntN(2)])
	}
}

// create asks for a pod. It may be refused: the node is small.
func (c *chaos) create() {
	c.made++
	container := func(name string) corev1.Container {
		return corev1.Container{
			Name: name, Image: "busybox", ImagePullPolicy: []corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent}[c.dice.IntN(2)],
			Command: simruntime.Script{TermDelay: time.Duration(c.dice.IntN(8)) * time.Second}.Command(),
		}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("pod-%d", c.made)},
		Spec:       corev1.PodSpec{NodeName: "node-a", TerminationGracePeriodSeconds: ptr.To(int64(c.dice.IntN(10)))},
	}
	for i := range 1 + c.dice.IntN(3) {
		pod.Spec.Containers = append(pod.Spec.Containers, container(fmt.Sprintf("app-%d", i)))
	}
	if c.dice.IntN(2) == 0 {
		sidecar := container("sidecar")
		sidecar.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		once := container("once")
		once.Command = simruntime.Script{Ends: true, After: time.Second}.Command()
		pod.Spec.InitContainers = []corev1.Container{sidecar, once}
	}
	if c.dice.IntN(3) == 0 {
		pod.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{
			PostStart: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 1}},
			PreStop:   &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: int64(c.dice.IntN(4))}},
		}
	}
	defaults.Pod(pod)
	_, _ = c.api.CreatePod(c.t.Context(), pod) // the API may be away
}

// some is one of the pods that the API has, nil if there are none.
func (c *chaos) some() *corev1.Pod {
	pods := c.api.all()
	if len(pods) == 0 {
		return nil
	}
	return pods[c.dice.IntN(len(pods))]
}

func (c *chaos) delete() {
	if pod := c.some(); pod != nil {
		grace := []*int64{pod.Spec.TerminationGracePeriodSeconds, ptr.To[int64](0)}[c.dice.IntN(2)]
		_ = c.api.DeletePod(c.t.Context(), nameOf(pod), metav1.DeleteOptions{GracePeriodSeconds: grace})
	}
}

// held is what the machine has, by pod.
func (c *chaos) held() map[types.UID]agent.Holding {
	holdings, err := c.runtime.Look(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	out := map[types.UID]agent.Holding{}
	for _, h := range holdings {
		out[h.Pod.UID] = h
	}
	return out
}

func (c *chaos) exit() {
	if pod := c.some(); pod != nil {
		if containers := c.held()[pod.UID].Containers; len(containers) > 0 {
			c.runtime.Exit(containers[c.dice.IntN(len(containers))].ID, int32(c.dice.IntN(2)))
		}
	}
}

func (c *chaos) breakSandbox() {
	if pod := c.some(); pod != nil {
		for _, s := range c.held()[pod.UID].Sandboxes {
			c.runtime.BreakSandbox(s.ID)
		}
	}
}

// peace lets nothing go wrong any more, for longer than any back-off.
func (c *chaos) peace() {
	c.mu.Lock()
	c.badLuck = 0
	c.mu.Unlock()
	c.api.fail(nil)
	c.volumes.failWith(nil)
	c.run(30 * time.Minute)
	c.story += c.told()
}

// check holds the machine and the API to what was asked for.
func (c *chaos) check() {
	held := c.held()
	running := 0
	for _, pod := range c.api.all() {
		h := held[pod.UID]
		delete(held, pod.UID)
		switch {
		case pod.DeletionTimestamp != nil:
			c.t.Errorf("%s was deleted and is still there", pod.Name)
		case pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == "OutOfpods":
			if len(h.Sandboxes) > 0 {
				c.t.Errorf("%s was refused and yet has a sandbox", pod.Name)
			}
		default:
			running++
			c.checkRunning(pod, h)
		}
	}
	for uid, h := range held {
		c.t.Errorf("of %s (%s), which nobody asks for, there is %+v", uid, h.Pod.Name, h)
	}
	up, _ := c.volumes.List()
	if len(up) != running {
		c.t.Errorf("%d pods run, and %d have volumes", running, len(up))
	}
	if running == 0 && c.made > 60 {
		c.t.Error("no pod runs at all")
	}
}

// checkRunning holds a pod to all its containers running, once each and ready.
func (c *chaos) checkRunning(pod *corev1.Pod, h agent.Holding) {
	var got []string
	for _, container := range h.Containers {
		if container.State == podstep.Running {
			got = append(got, container.Name)
		}
	}
	var want []string
	for _, spec := range pod.Spec.Containers {
		want = append(want, spec.Name)
	}
	if len(pod.Spec.InitContainers) > 0 {
		want = append(want, "sidecar")
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.t.Errorf("of %s run %v, not %v", pod.Name, got, want)
	}
	ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	if !ready {
		c.t.Errorf("%s is not reported ready: %s", pod.Name, summary(&pod.Status))
	}
	for _, status := range pod.Status.ContainerStatuses {
		if i := slices.IndexFunc(h.Containers, func(r agent.ContainerRecord) bool {
			return r.Name == status.Name && r.State == podstep.Running
		}); i >= 0 && status.ContainerID != "simruntime://"+h.Containers[i].ID {
			c.t.Errorf("%s is reported to run %s as %s, not %s", pod.Name, status.Name, status.ContainerID, h.Containers[i].ID)
		}
	}
}
