package podstep_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// TestTranscripts runs the golden files in testdata/pod, which read as a manual of
// a pod's life. Rewrite them with -rewrite, and commit only what you understand.
//
// pod begins afresh: its lines are the containers, in order, and how they
// behave (see addContainer). play lets time pass and shows what is done, and
// indented what happens by itself. Every other command changes something.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/pod", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "pod" {
				w = newWorld(t)
				readPod(t, w, d)
				return ""
			}
			w.t, w.log = t, nil
			command(t, w, d)
			switch d.Cmd {
			case "play":
				return strings.Join(append(w.log, rest(w)), "\n") + "\n"
			case "status":
				return statusText(w)
			}
			return ""
		})
	})
}

// command carries out one command other than pod.
func command(t *testing.T, w *world, d *datadriven.TestData) {
	arg := func(key string) (value string) {
		d.MaybeScanArgs(t, key, &value)
		return value
	}
	switch d.Cmd {
	case "play":
		w.play(duration(t, d.CmdArgs[0].Key))
	case "status":
	case "delete":
		w.deletion = &podstep.Deletion{Grace: duration(t, arg("grace"))}
	case "fail":
		w.failure = &podstep.Failure{Reason: arg("reason"), Message: "The node says so"}
		if g := arg("grace"); g != "" {
			grace := duration(t, g)
			w.failure.Grace = &grace
		}
	case "forget":
		w.memory = podstep.Memory{}
		if d.HasArg("all") {
			w.reported = podstep.Status{}
		}
		w.outcomes, w.ongoing = nil, nil
	case "reboot", "sandbox-dies":
		last := &w.sandboxes[len(w.sandboxes)-1]
		last.Ready = false
		w.stopAll(last.ID)
		if d.Cmd == "reboot" {
			w.memory, w.ongoing, w.outcomes = podstep.Memory{}, nil, nil
		}
	case "clock-set-back":
		w.now = w.now.Add(-duration(t, d.CmdArgs[0].Key))
	case "report": // by others
		w.reported.Phase, w.reported.Reason = podstep.Phase(arg("phase")), arg("reason")
	case "volumes":
		w.pod.VolumesReady = d.CmdArgs[0].Key == "ready"
	case "gate":
		w.pod.ReadinessGates = []podstep.ReadinessGate{{Type: arg("type"), Status: arg("status")}}
	case "edit":
		w.spec(arg("name")).Hash = arg("hash")
	case "liveness-fails":
		for _, r := range w.containers {
			if r.Name == arg("name") {
				w.acts[r.Name].livenessFailsAttempt = r.Attempt
			}
		}
	case "unready":
		w.acts[arg("name")].noReady = true
	case "image-arrives":
		w.images[arg("name")] = true
	case "debug":
		addContainer(t, w, []string{"debug", arg("name")})
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
}

// readPod reads the pod.
func readPod(t *testing.T, w *world, d *datadriven.TestData) {
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "restart":
			w.pod.RestartPolicy = podstep.RestartPolicy(value)
		case "grace":
			w.pod.Grace = duration(t, value)
		case "deadline":
			w.pod.ActiveDeadline = duration(t, value)
		case "volumes":
			w.pod.VolumesReady = value == "ready"
		case "sandboxfails":
			w.sandboxFails = number(t, value)
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
	for line := range strings.Lines(d.Input) {
		addContainer(t, w, strings.Fields(line))
	}
}

// addContainer reads one container: its role, its name, and how it behaves.
// Images are present unless pulltakes or missing says otherwise.
func addContainer(t *testing.T, w *world, words []string) {
	c := podstep.Container{Name: words[1], Image: words[1] + "-image", PullPolicy: podstep.PullIfNotPresent}
	b := &behaviour{stopTakes: time.Second, livenessFailsAttempt: -1}
	w.images[c.Image] = true
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "exit": // exit=CODE/AFTER,… for each attempt; never as CODE is a run without end
			for _, e := range strings.Split(value, ",") {
				b.exits = append(b.exits, readExit(t, e))
			}
		case "stop":
			b.stopTakes = -1
			if value != "never" {
				b.stopTakes = duration(t, value)
			}
		case "pulltakes":
			b.pullTakes, w.images[c.Image] = duration(t, value), false
		case "pullfails":
			b.pullFails, w.images[c.Image] = number(t, value), false
		case "missing":
			w.images[c.Image] = false
		case "pull":
			c.PullPolicy = podstep.PullPolicy(value)
		case "starttakes":
			b.startTakes = duration(t, value)
		case "unstartable":
			b.unstartable = true
		case "startfails":
			b.startFails = number(t, value)
		case "postStart":
			c.PostStart = true
			b.postStartFails = value == "fails"
			if !b.postStartFails {
				b.postStart = duration(t, value)
			}
		case "preStop":
			c.PreStop, b.preStop = true, duration(t, value)
		case "startup":
			c.StartupProbe = &podstep.Probe{}
			b.noStartup = value == "fails"
			if !b.noStartup {
				b.startup = duration(t, value)
			}
		case "readiness":
			c.ReadinessProbe, b.readiness = true, duration(t, value)
		case "liveness":
			c.LivenessProbe = &podstep.Probe{}
			if value != "" {
				grace := duration(t, value)
				c.LivenessProbe.Grace = &grace
			}
		case "restart":
			c.RestartPolicy = podstep.RestartPolicy(value)
		case "restartOn":
			c.RestartRules = []podstep.RestartRule{{Codes: []int32{int32(number(t, value))}}}
		case "hash":
			c.Hash = value
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	w.add(words[0], c, b)
}

// add gives the pod a container.
func (w *world) add(role string, c podstep.Container, b *behaviour) {
	w.acts[c.Name] = b
	switch role {
	case "sidecar":
		c.RestartPolicy = podstep.Always
		w.pod.Init = append(w.pod.Init, c)
	case "init":
		w.pod.Init = append(w.pod.Init, c)
	case "app":
		w.pod.Containers = append(w.pod.Containers, c)
	case "debug":
		w.pod.Ephemeral = append(w.pod.Ephemeral, c)
	default:
		w.t.Fatalf("unknown role %s", role)
	}
}

func readExit(t *testing.T, s string) exit {
	code, after, _ := strings.Cut(s, "/")
	if code == "never" {
		return exit{after: -1}
	}
	return exit{code: int32(number(t, code)), after: duration(t, after)}
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func duration(t *testing.T, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// rest says how the pod was left.
func rest(w *world) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6s  -> %s", w.now.Sub(start), w.decision.Status.Phase)
	if w.decision.Done {
		b.WriteString(", done")
	}
	if !w.decision.WakeAt.IsZero() {
		fmt.Fprintf(&b, ", wake at %s", w.decision.WakeAt.Sub(start))
	}
	return b.String()
}

// statusText shows the status of the last step.
func statusText(w *world) string {
	var b strings.Builder
	s := w.decision.Status
	fmt.Fprintf(&b, "%s%s\n", s.Phase, because(s.Reason, s.Message))
	for _, c := range s.Conditions {
		fmt.Fprintf(&b, "%s=%v%s\n", c.Type, c.Holds, because(c.Reason, c.Message))
	}
	for _, list := range [][]podstep.ContainerStatus{s.Init, s.Containers, s.Ephemeral} {
		for _, c := range list {
			fmt.Fprintf(&b, "%s: %s restarts=%d started=%v ready=%v", c.Name, stateText(c), c.RestartCount, c.Started, c.Ready)
			if c.Last != nil {
				fmt.Fprintf(&b, " last=(%s)", endText(c.Last))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func stateText(c podstep.ContainerStatus) string {
	switch {
	case c.Waiting != nil:
		return "waiting" + because(c.Waiting.Reason, c.Waiting.Message)
	case c.Running != nil:
		return "running since " + c.Running.Started.Sub(start).String()
	}
	return "terminated " + endText(c.Terminated)
}

func endText(t *podstep.Terminated) string {
	return fmt.Sprintf("%s %d", t.Reason, t.ExitCode)
}

func because(reason, message string) string {
	text := ""
	if reason != "" {
		text = " " + reason
	}
	if message != "" {
		text += " (" + message + ")"
	}
	return text
}
