package podstep_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// TestConverges: whatever goes wrong for a while, a pod that restarts always and
// whose containers do their part comes to have all of them running, once each;
// and then nothing is touched any more, whether or not the agent starts anew.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, podstep.Always)
		w.check = func(op podstep.Operation) { checkOperation(w, op) }
		for range rapid.IntRange(0, 10).Draw(t, "events") {
			disturb(t, w)
			w.play(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
			checkStatus(w)
		}
		w.faults, w.lies = map[podstep.Kind]int{}, map[podstep.Kind]int{}
		w.play(4 * time.Hour)
		checkAllRun(w)
		before := len(w.ops)
		w.play(time.Hour)
		w.memory, w.ongoing, w.blind = podstep.Memory{}, nil, true
		w.play(time.Hour)
		checkAllRun(w)
		if n := len(w.ops) - before; n > 0 {
			t.Fatalf("a healthy pod is touched: %+v", w.ops[before:])
		}
	})
}

// TestDeletedEnds: a deleted pod is gone when its grace is over, and two seconds
// for those who had none of it, and a little for each time the runtime fails.
func TestDeletedEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := rapid.SampledFrom([]podstep.RestartPolicy{podstep.Always, podstep.OnFailure, podstep.Never}).Draw(t, "policy")
		w := drawWorld(t, policy)
		w.check = func(op podstep.Operation) { checkOperation(w, op) }
		for range rapid.IntRange(0, 5).Draw(t, "events") {
			disturb(t, w)
			w.play(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
		}
		grace := time.Duration(rapid.IntRange(0, 40).Draw(t, "grace")) * time.Second
		w.deletion = &podstep.Deletion{Grace: grace}
		if rapid.Bool().Draw(t, "forgets") {
			w.play(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			w.memory, w.ongoing, w.outcomes = podstep.Memory{}, nil, nil
		}
		troubles := 0
		for _, counts := range []map[podstep.Kind]int{w.faults, w.lies} {
			for _, n := range counts {
				troubles += n
			}
		}
		deleted := w.now
		w.play(grace + 2*time.Second + time.Duration(troubles)*(grace+12*time.Second))
		if !w.decision.Done || len(w.containers)+len(w.sandboxes) > 0 {
			t.Fatalf("deleted at %s with grace %s, not gone at %s: %+v", deleted.Sub(start), grace, w.now.Sub(start), w.containers)
		}
		if !w.decision.Status.Phase.Ended() {
			t.Fatalf("the pod is gone and %s", w.decision.Status.Phase)
		}
		before := len(w.ops)
		w.play(time.Hour)
		if len(w.ops) > before {
			t.Fatalf("still at work on a pod that is gone: %+v", w.ops[before:])
		}
	})
}

// TestBackOff: whatever fails for ever, or claims to succeed and does not, is
// tried ever more slowly; and so are containers that end for ever.
func TestBackOff(t *testing.T) {
	kinds := []podstep.Kind{podstep.CreateSandbox, podstep.PullImage, podstep.StartContainer, podstep.KillContainer,
		podstep.RemoveContainer, podstep.StopSandbox, podstep.RemoveSandbox}
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, podstep.Always)
		for _, c := range w.pod.Containers {
			if rapid.Bool().Draw(t, "crashes") {
				w.acts[c.Name].exits = []exit{{code: 1, after: time.Duration(rapid.IntRange(0, 3).Draw(t, "after")) * time.Second}}
			}
		}
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		w.play(time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * time.Second)
		if rapid.Bool().Draw(t, "lies") {
			w.lies[kind] = 1 << 30
		} else {
			w.faults[kind] = 1 << 30
		}
		if rapid.Bool().Draw(t, "deleted") {
			w.deletion = &podstep.Deletion{Grace: time.Second}
		}
		before := len(w.ops)
		w.play(20 * time.Minute)
		checkRate(w, w.ops[before:])
	})
}

// checkRate: of one operation, no more than one in ten seconds in the long run,
// and of pulls and of attempts of a container, one in five minutes.
func checkRate(w *world, ops []begun) {
	w.t.Helper()
	type what struct {
		kind podstep.Kind
		name string
	}
	counts := map[what]int{}
	for _, b := range ops {
		key := what{b.op.Kind, b.op.ID}
		switch b.op.Kind {
		case podstep.PullImage:
			key.name = b.op.Container
		case podstep.StartContainer:
			key.name = b.op.Container
		case podstep.CreateSandbox:
			key.name = ""
		}
		counts[key]++
	}
	for key, n := range counts {
		limit := 1200/10 + 5
		trouble := w.faults[podstep.StartContainer] + w.lies[podstep.StartContainer] + w.lies[podstep.PullImage]
		if (key.kind == podstep.PullImage || key.kind == podstep.StartContainer) && trouble == 0 {
			limit = 1200/300 + 12 // the first steps of the back-off, and the first faults
		}
		if n > limit {
			w.t.Fatalf("%s %s happens %d times in 20 minutes", key.kind, key.name, n)
		}
	}
}

// drawWorld is a pod with containers that do their part.
func drawWorld(t *rapid.T, policy podstep.RestartPolicy) *world {
	w := newWorld(t)
	w.pod.RestartPolicy = policy
	w.pod.HostNetwork = rapid.Bool().Draw(t, "hostNetwork")
	w.pod.Grace = time.Duration(rapid.IntRange(0, 40).Draw(t, "grace")) * time.Second
	w.sandboxFails = rapid.IntRange(0, 2).Draw(t, "sandboxFails")
	for i := range rapid.IntRange(0, 3).Draw(t, "inits") {
		role := rapid.SampledFrom([]string{"init", "sidecar"}).Draw(t, "role")
		c, b := drawContainer(t, fmt.Sprintf("%s%d", role, i))
		if role == "init" {
			c.PostStart, c.PreStop, c.StartupProbe, c.LivenessProbe, c.ReadinessProbe = false, false, nil, nil, false
			b.exits = []exit{{after: time.Duration(rapid.IntRange(0, 5).Draw(t, "takes")) * time.Second}}
		}
		w.add(role, c, b)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "apps") {
		c, b := drawContainer(t, fmt.Sprintf("app%d", i))
		w.add("app", c, b)
	}
	for _, list := range [][]podstep.Container{w.pod.Init, w.pod.Containers} {
		for _, c := range list {
			w.images[c.Image] = rapid.Bool().Draw(t, "present")
		}
	}
	return w
}

func drawContainer(t *rapid.T, name string) (podstep.Container, *behaviour) {
	seconds := func(what string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, what)) * time.Second
	}
	c := podstep.Container{
		Name: name, Image: rapid.SampledFrom([]string{"one", "two", "three"}).Draw(t, "image"), Hash: "1",
		PullPolicy: rapid.SampledFrom([]podstep.PullPolicy{podstep.PullAlways, podstep.PullIfNotPresent}).Draw(t, "pull"),
		PostStart:  rapid.Bool().Draw(t, "postStart"), PreStop: rapid.Bool().Draw(t, "preStop"),
		ReadinessProbe: rapid.Bool().Draw(t, "readiness"), LivenessProbe: &podstep.Probe{},
	}
	if rapid.Bool().Draw(t, "startup") {
		c.StartupProbe = &podstep.Probe{}
	}
	b := &behaviour{
		stopTakes: seconds("stop", 50) - time.Second, pullTakes: seconds("pulls", 5), pullFails: rapid.IntRange(0, 2).Draw(t, "pullFails"),
		startFails: rapid.IntRange(0, 2).Draw(t, "startFails"), postStart: seconds("hook", 3), preStop: seconds("hook", 50),
		startup: seconds("starts", 5), readiness: seconds("readies", 5), livenessFailsAttempt: -1,
	}
	return c, b
}

// disturb does something bad.
func disturb(t *rapid.T, w *world) {
	running := []int{}
	for i, r := range w.containers {
		if r.State == podstep.Running {
			running = append(running, i)
		}
	}
	kind := podstep.Kind(rapid.IntRange(int(podstep.CreateSandbox), int(podstep.RemoveSandbox)).Draw(t, "kind"))
	switch rapid.IntRange(0, 6).Draw(t, "event") {
	case 0: // the agent starts anew; of what it had begun only kills go on
		w.memory, w.ongoing, w.outcomes = podstep.Memory{}, nil, nil
	case 1:
		if len(running) > 0 {
			w.exit(&w.containers[rapid.SampledFrom(running).Draw(t, "who")], 1)
		}
	case 2:
		if n := len(w.sandboxes); n > 0 && w.sandboxes[n-1].Ready {
			w.sandboxes[n-1].Ready = false
			if rapid.Bool().Draw(t, "alone") {
				return // its containers go on for a while
			}
			w.stopAll(w.sandboxes[n-1].ID)
		}
	case 3:
		if len(running) > 0 {
			r := w.containers[rapid.SampledFrom(running).Draw(t, "who")]
			w.acts[r.Name].livenessFailsAttempt = r.Attempt
		}
	case 4:
		w.faults[kind] += 2
	case 5:
		w.lies[kind]++
	case 6:
		if len(running) > 0 {
			w.spec(w.containers[rapid.SampledFrom(running).Draw(t, "who")].Name).Hash += "x"
		}
	}
}

// checkOperation: nothing healthy is touched, nothing runs twice, and everyone
// waits for their turn. This is written from the world's side, where it is known
// what is true.
func checkOperation(w *world, op podstep.Operation) {
	w.t.Helper()
	switch op.Kind {
	case podstep.StartContainer:
		checkStart(w, op)
	case podstep.KillContainer, podstep.RunPreStop:
		for _, r := range w.containers {
			if r.ID == op.ID && r.State == podstep.Running && !w.mayKill(r) {
				w.t.Fatalf("a healthy container is ended: %s", w.describe(op))
			}
		}
		if op.Kind == podstep.KillContainer && w.deletion != nil {
			checkTurn(w, op)
		}
	case podstep.StopSandbox:
		for _, r := range w.containers {
			if r.Sandbox == op.ID && r.State == podstep.Running {
				w.t.Fatalf("a sandbox is stopped while %s runs", r.Name)
			}
		}
	}
}

// mayKill tells whether there is any reason to end a container.
func (w *world) mayKill(r podstep.Record) bool {
	spec, b := w.spec(r.Name), w.acts[r.Name]
	dead := true
	for _, s := range w.sandboxes {
		dead = dead && !(s.ID == r.Sandbox && s.Ready)
	}
	completed := w.pod.RestartPolicy != podstep.Always
	return w.deletion != nil || dead || completed || spec.Hash != r.Hash ||
		b.livenessFailsAttempt == r.Attempt || w.hookFailed[r.ID]
}

// checkStart: no second attempt beside a first, and no app container before the
// init containers of its sandbox have succeeded and the sidecars have been started.
func checkStart(w *world, op podstep.Operation) {
	w.t.Helper()
	if w.deletion != nil {
		w.t.Fatalf("a deleted pod starts %s", op.Container)
	}
	done := map[string]bool{}
	started := false // some container of the sandbox that comes after all init containers
	for _, r := range w.containers {
		if r.Name == op.Container && (r.State == podstep.Running || r.Attempt >= op.Attempt) {
			w.t.Fatalf("%s is started beside its attempt %d", w.describe(op), r.Attempt)
		}
		if r.Sandbox == op.ID {
			done[r.Name] = done[r.Name] || w.didItsPart(r)
			for _, c := range w.pod.Containers {
				started = started || c.Name == r.Name
			}
		}
	}
	for _, c := range w.pod.Init {
		if c.Name == op.Container || started {
			return
		}
		if !done[c.Name] && !w.did[op.ID+c.Name] {
			w.t.Fatalf("%s is started before %s has done its part:\n%s", op.Container, c.Name, strings.Join(w.log, "\n"))
		}
	}
}

// didItsPart tells of an init container whether it succeeded, and of a sidecar
// whether it has been started, though it may have ended since.
func (w *world) didItsPart(r podstep.Record) bool {
	spec := w.spec(r.Name)
	end := w.now
	if r.State == podstep.Exited {
		end = r.Finished
	}
	if spec.RestartPolicy == podstep.Always {
		return spec.StartupProbe == nil || end.Sub(r.Started) >= w.acts[r.Name].startup
	}
	return r.State == podstep.Exited && r.ExitCode == 0
}

// checkTurn: a sidecar is asked to stop after all app containers and the sidecars
// after it, unless the grace is over.
func checkTurn(w *world, op podstep.Operation) {
	w.t.Helper()
	after, sidecar := map[string]bool{}, false
	for _, c := range w.pod.Init {
		if sidecar && c.RestartPolicy == podstep.Always {
			after[c.Name] = true
		}
		sidecar = sidecar || c.Name == op.Container && c.RestartPolicy == podstep.Always
	}
	for _, c := range w.pod.Containers {
		after[c.Name] = true
	}
	for _, r := range w.containers {
		if sidecar && after[r.Name] && r.State == podstep.Running && op.By.Sub(w.now) > 2*time.Second {
			w.t.Fatalf("%s goes before %s", w.describe(op), r.Name)
		}
	}
}

// checkStatus: the status is of one piece, and true.
func checkStatus(w *world) {
	w.t.Helper()
	s := w.decision.Status
	running := map[string]bool{}
	for _, r := range w.containers {
		running[r.Name] = running[r.Name] || r.State == podstep.Running
	}
	for _, c := range append(append([]podstep.ContainerStatus{}, s.Init...), s.Containers...) {
		states := 0
		for _, set := range []bool{c.Waiting != nil, c.Running != nil, c.Terminated != nil} {
			if set {
				states++
			}
		}
		if states != 1 || (c.Running != nil) != running[c.Name] {
			w.t.Fatalf("%s: %s, running is %v", c.Name, stateText(c), running[c.Name])
		}
		if c.Ready && !running[c.Name] && (c.Terminated == nil || c.Terminated.ExitCode != 0) {
			w.t.Fatalf("%s is ready and %s", c.Name, stateText(c))
		}
	}
	if s.Phase.Ended() {
		w.t.Fatalf("a pod that restarts always is %s", s.Phase)
	}
}

// checkAllRun: all that should run does, once, and says so.
func checkAllRun(w *world) {
	w.t.Helper()
	checkStatus(w)
	count := map[string]int{}
	for _, r := range w.containers {
		if r.State == podstep.Running {
			count[r.Name]++
		}
	}
	for _, c := range w.pod.Init {
		if want := map[bool]int{true: 1}[c.RestartPolicy == podstep.Always]; count[c.Name] != want {
			w.t.Fatalf("%d of %s run, want %d", count[c.Name], c.Name, want)
		}
	}
	for _, c := range w.pod.Containers {
		if count[c.Name] != 1 {
			w.t.Fatalf("%d of %s run", count[c.Name], c.Name)
		}
	}
	for _, c := range w.decision.Status.Conditions {
		if !c.Holds {
			w.t.Fatalf("%s does not hold: %s %s", c.Type, c.Reason, c.Message)
		}
	}
}
