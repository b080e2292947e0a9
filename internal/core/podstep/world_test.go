package podstep_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// fataler is what transcripts and properties have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a machine with one pod: a runtime that does what it is told, and
// containers that behave as written.
type world struct {
	t          fataler
	now        time.Time
	pod        podstep.Pod
	acts       map[string]*behaviour
	sandboxes  []podstep.Sandbox
	containers []podstep.Record
	ends       map[string]time.Time // container ID -> when it exits
	codes      map[string]int32
	images     map[string]bool
	deletion   *podstep.Deletion
	failure    *podstep.Failure
	ongoing    []*task
	outcomes   []podstep.Outcome
	reported   podstep.Status
	memory     podstep.Memory
	decision   podstep.Decision
	log        []string
	ids        int
	// sandboxFails is how many sandboxes cannot be made.
	sandboxFails int
	// ops are all operations begun, with their times.
	ops []begun
	// faults is how many operations of a kind fail, lies how many claim success
	// and do nothing.
	faults, lies map[podstep.Kind]int
	// blind: the probes have no result yet.
	blind bool
	// hookFailed are the containers whose postStart hook failed.
	hookFailed map[string]bool
	// did are the init containers and sandboxes where an attempt that is removed
	// has done its part.
	did   map[string]bool
	steps int
	// check is called with every operation begun.
	check func(podstep.Operation)
}

type begun struct {
	at time.Time
	op podstep.Operation
}

// behaviour is how a container behaves.
type behaviour struct {
	// exits are the ends of its attempts; the last is that of all later ones,
	// and none is never.
	exits []exit
	// stopTakes is how long it takes to stop when asked; negative is for ever.
	stopTakes time.Duration
	pullTakes time.Duration
	// startTakes is how long it has been created, but not begun.
	startTakes time.Duration
	pullFails  int
	startFails int
	// unstartable: it can be created but not started, which leaves a record.
	unstartable          bool
	postStart, preStop   time.Duration
	postStartFails       bool
	startup, readiness   time.Duration
	noStartup, noReady   bool
	livenessFailsAttempt int // fails in this attempt; -1 is none
}

type exit struct {
	code  int32
	after time.Duration
}

// task is an ongoing operation.
type task struct {
	op     podstep.Operation
	end    time.Time
	reason string
}

func newWorld(t fataler) *world {
	return &world{t: t, now: start, acts: map[string]*behaviour{}, ends: map[string]time.Time{},
		codes: map[string]int32{}, images: map[string]bool{}, check: func(podstep.Operation) {},
		faults: map[podstep.Kind]int{}, lies: map[podstep.Kind]int{}, hookFailed: map[string]bool{}, did: map[string]bool{},
		pod: podstep.Pod{Namespace: "ns", Name: "pod", UID: "uid", RestartPolicy: podstep.Always, Grace: 30 * time.Second, VolumesReady: true}}
}

func (w *world) logf(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%6s  ", w.now.Sub(start))+fmt.Sprintf(format, args...))
}

// play lets time pass.
func (w *world) play(d time.Duration) {
	for until := w.now.Add(d); ; {
		for turns := 0; w.turn(); turns++ {
			if turns > 200 {
				w.t.Fatalf("no rest at %s:\n%s", w.now.Sub(start), strings.Join(w.log[max(0, len(w.log)-30):], "\n"))
			}
		}
		next := w.next()
		if next.IsZero() || next.After(until) {
			w.now = until
			return
		}
		w.now = next
	}
}

// turn is one step and its first operation; it reports whether there was one.
func (w *world) turn() bool {
	w.happen()
	w.decision = w.step()
	w.outcomes = nil
	w.memory, w.reported = w.decision.Memory, w.decision.Status
	for _, op := range w.decision.Cancel {
		for _, t := range w.ongoing {
			if t.op == op && t.end.After(w.now) {
				t.end, t.reason = w.now, "Canceled"
			}
		}
	}
	if len(w.decision.Operations) > 0 {
		w.begin(w.decision.Operations[0])
	}
	return len(w.decision.Operations)+len(w.decision.Cancel) > 0
}

// step asks twice, and wants the same answer and an untouched input.
func (w *world) step() podstep.Decision {
	in, twin := w.input(), w.input()
	slices.Reverse(twin.Sandboxes)
	slices.Reverse(twin.Containers)
	slices.Reverse(twin.Images)
	before := ""
	if w.steps++; w.steps%8 == 1 || len(w.ops) < 50 { // printing is dear
		before = image(w.t, in)
	}
	d := podstep.Step(in)
	if before != "" && before != image(w.t, in) {
		w.t.Fatalf("Step changed its input:\n%s\n%s", before, image(w.t, in))
	}
	if again := podstep.Step(twin); !reflect.DeepEqual(d, again) {
		w.t.Fatalf("equal inputs gave two decisions:\n%+v\n%+v", d, again)
	}
	return d
}

// image is an input as text, with all that its pointers lead to; Memory, which
// keeps itself to itself, as far as it can be printed.
func image(t fataler, in podstep.Input) string {
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatalf("print the input: %v", err)
	}
	return fmt.Sprintf("%s %+v", text, in.Memory)
}

// input is what the agent would see. It shares nothing with the world but what
// Step itself returned.
func (w *world) input() podstep.Input {
	in := podstep.Input{
		Now: w.now, Pod: w.pod, Sandboxes: slices.Clone(w.sandboxes), Containers: slices.Clone(w.containers),
		Outcomes: slices.Clone(w.outcomes), Deletion: w.deletion, Failure: w.failure, Reported: w.reported, Memory: w.memory,
	}
	in.Pod.Init, in.Pod.Containers = slices.Clone(w.pod.Init), slices.Clone(w.pod.Containers)
	for _, t := range w.ongoing {
		in.Ongoing = append(in.Ongoing, t.op)
	}
	for image, here := range w.images {
		if here {
			in.Images = append(in.Images, image)
		}
	}
	slices.Sort(in.Images)
	for _, r := range w.containers {
		if r.State == podstep.Running {
			in.Probes = append(in.Probes, w.probe(r))
		}
	}
	return in
}

func (w *world) probe(r podstep.Record) podstep.ProbeResult {
	b := w.acts[r.Name]
	p := podstep.ProbeResult{Container: r.Name, Attempt: r.Attempt}
	if w.blind {
		return p
	}
	ran := w.now.Sub(r.Started)
	if ran >= b.startup && !b.noStartup {
		p.Startup = podstep.Success
	}
	if b.noStartup && ran >= 10*time.Second {
		p.Startup = podstep.Failed
	}
	if ran >= b.readiness && !b.noReady {
		p.Readiness = podstep.Success
	}
	if b.noReady {
		p.Readiness = podstep.Failed
	}
	if b.livenessFailsAttempt == r.Attempt {
		p.Liveness = podstep.Failed
	}
	return p
}

// next is when something happens; zero if nothing will.
func (w *world) next() time.Time {
	times := []time.Time{w.decision.WakeAt}
	for _, t := range w.ongoing {
		times = append(times, t.end)
	}
	for _, r := range w.containers {
		if r.State == podstep.Running {
			b := w.acts[r.Name]
			times = append(times, w.ends[r.ID], r.Started.Add(b.startup), r.Started.Add(b.readiness), r.Started.Add(10*time.Second))
		}
	}
	var next time.Time
	for _, t := range times {
		if t.After(w.now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

// happen brings about what is due.
func (w *world) happen() {
	for i := range w.containers {
		r := &w.containers[i]
		if end := w.ends[r.ID]; r.State == podstep.Running && !end.IsZero() && !end.After(w.now) {
			w.exit(r, w.codes[r.ID])
		}
	}
	var rest []*task
	for _, t := range w.ongoing {
		if t.end.After(w.now) && !(t.op.Kind == podstep.KillContainer && !w.isRunning(t.op.ID)) {
			rest = append(rest, t)
			continue
		}
		w.outcomes = append(w.outcomes, podstep.Outcome{Operation: t.op, At: w.now, Reason: t.reason, Message: message(t.reason)})
		if t.reason == "" {
			w.apply(t.op)
		} else if t.op.Kind == podstep.RunPostStart {
			w.hookFailed[t.op.ID] = true
		}
	}
	w.ongoing = rest
}

func message(reason string) string {
	if reason == "" {
		return ""
	}
	return "it did not work"
}

func (w *world) isRunning(id string) bool {
	return slices.ContainsFunc(w.containers, func(r podstep.Record) bool { return r.ID == id && r.State == podstep.Running })
}

func (w *world) exit(r *podstep.Record, code int32) {
	r.State, r.ExitCode, r.Finished = podstep.Exited, code, w.now
	w.logf("  %s exits %d", r.Name, code)
}

// begin starts an operation.
func (w *world) begin(op podstep.Operation) {
	w.check(op)
	t := &task{op: op, end: w.now}
	w.ops = append(w.ops, begun{w.now, op})
	w.logf("%s", w.describe(op))
	b := w.acts[op.Container]
	if b == nil {
		b = &behaviour{}
	}
	switch op.Kind {
	case podstep.CreateSandbox:
		if w.sandboxFails > 0 {
			w.sandboxFails--
			t.reason = "FailedCreatePodSandBox"
		}
	case podstep.PullImage:
		t.end = w.now.Add(b.pullTakes)
		if b.pullFails > 0 {
			b.pullFails--
			t.reason = "ErrImagePull"
		}
	case podstep.StartContainer:
		if b.startFails > 0 || !w.images[op.Image] {
			b.startFails = max(b.startFails-1, 0)
			t.reason = "CreateContainerError"
		} else if b.startTakes > 0 {
			t.end = w.now.Add(b.startTakes)
			w.create(op)
		}
	case podstep.RunPostStart:
		t.end = w.now.Add(b.postStart)
		if b.postStartFails {
			t.reason = "PostStartHookError"
		}
	case podstep.RunPreStop:
		t.end = w.now.Add(b.preStop)
	case podstep.KillContainer:
		t.end = op.By
		if w.faults[op.Kind] == 0 && w.lies[op.Kind] == 0 {
			w.signal(op, b)
		}
	}
	if w.faults[op.Kind] > 0 {
		w.faults[op.Kind]--
		t.end, t.reason = w.now, "RuntimeError"
	}
	w.ongoing = append(w.ongoing, t)
}

// signal tells a container to stop.
func (w *world) signal(op podstep.Operation, b *behaviour) {
	end, code := op.By, int32(137)
	if stop := w.now.Add(b.stopTakes); b.stopTakes >= 0 && stop.Before(end) {
		end, code = stop, 143
	}
	if was := w.ends[op.ID]; was.IsZero() || end.Before(was) {
		w.ends[op.ID], w.codes[op.ID] = end, code
	}
}

// apply makes true what a successful operation promises.
func (w *world) apply(op podstep.Operation) {
	if w.lies[op.Kind] > 0 {
		w.lies[op.Kind]--
		return
	}
	switch op.Kind {
	case podstep.CreateSandbox:
		w.ids++
		w.sandboxes = append(w.sandboxes, podstep.Sandbox{ID: fmt.Sprintf("s%d", w.ids), Attempt: op.Attempt, Ready: true, IP: "10.0.0.1", Created: w.now})
	case podstep.PullImage:
		w.images[op.Image] = true
	case podstep.StartContainer:
		w.run(op)
	case podstep.RemoveContainer:
		if w.isRunning(op.ID) {
			w.t.Fatalf("a running container is removed: %+v", op)
		}
		w.containers = slices.DeleteFunc(w.containers, func(r podstep.Record) bool {
			if r.ID == op.ID && w.didItsPart(r) {
				w.did[r.Sandbox+r.Name] = true
			}
			return r.ID == op.ID
		})
	case podstep.StopSandbox:
		for i := range w.sandboxes {
			if w.sandboxes[i].ID == op.ID {
				w.sandboxes[i].Ready = false
			}
		}
		w.stopAll(op.ID)
	case podstep.RemoveSandbox:
		if slices.ContainsFunc(w.containers, func(r podstep.Record) bool { return r.Sandbox == op.ID }) {
			w.t.Fatalf("a sandbox with containers is removed: %+v", op)
		}
		w.sandboxes = slices.DeleteFunc(w.sandboxes, func(s podstep.Sandbox) bool { return s.ID == op.ID })
	}
}

// stopAll ends all containers of a sandbox.
func (w *world) stopAll(sandbox string) {
	for i := range w.containers {
		if r := &w.containers[i]; r.Sandbox == sandbox && r.State == podstep.Running {
			w.exit(r, 137)
		}
	}
}

// create makes an attempt of a container that has not begun.
func (w *world) create(op podstep.Operation) {
	w.ids++
	w.containers = append(w.containers, podstep.Record{ID: fmt.Sprintf("c%02d", w.ids), Sandbox: op.ID, Name: op.Container, Attempt: op.Attempt,
		State: podstep.Created, Hash: w.spec(op.Container).Hash})
}

// run starts an attempt of a container.
func (w *world) run(op podstep.Operation) {
	i := slices.IndexFunc(w.containers, func(r podstep.Record) bool {
		return r.State == podstep.Created && r.Name == op.Container && r.Attempt == op.Attempt
	})
	if i < 0 {
		w.create(op)
		i = len(w.containers) - 1
	}
	r := &w.containers[i]
	r.State, r.Started = podstep.Running, w.now
	id, b := r.ID, w.acts[op.Container]
	if b.unstartable {
		r.Started = time.Time{}
		w.exit(r, 128)
		return
	}
	if len(b.exits) > 0 {
		e := b.exits[min(op.Attempt, len(b.exits)-1)]
		if e.after >= 0 {
			w.ends[id], w.codes[id] = w.now.Add(e.after), e.code
		}
	}
}

// spec is a container of the pod.
func (w *world) spec(name string) *podstep.Container {
	for _, list := range [][]podstep.Container{w.pod.Init, w.pod.Containers, w.pod.Ephemeral} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	w.t.Fatalf("no container %s", name)
	return nil
}

// describe is an operation as the transcripts show it.
func (w *world) describe(op podstep.Operation) string {
	var b strings.Builder
	b.WriteString(op.Kind.String())
	switch op.Kind {
	case podstep.CreateSandbox, podstep.StopSandbox, podstep.RemoveSandbox:
		fmt.Fprintf(&b, " #%d", op.Attempt)
	case podstep.PullImage:
		fmt.Fprintf(&b, " %s for %s", op.Image, op.Container)
	default:
		fmt.Fprintf(&b, " %s #%d", op.Container, op.Attempt)
	}
	if !op.By.IsZero() {
		fmt.Fprintf(&b, " within %s", op.By.Sub(w.now))
	}
	if op.Why != podstep.Wanted {
		fmt.Fprintf(&b, ": %s", op.Why)
	}
	return b.String()
}
