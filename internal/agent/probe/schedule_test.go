package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// transcript is what happened when, in seconds since the container started.
type transcript struct {
	mu    sync.Mutex
	start time.Time
	lines []line
}

type line struct {
	at   time.Duration
	text string
}

func (s *transcript) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line{time.Since(s.start), fmt.Sprintf(format, args...)})
}

// String sorts what happened at the same time, since its order is chance.
func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.text, b.text))
	})
	var out strings.Builder
	for _, l := range s.lines {
		fmt.Fprintf(&out, "%gs %s\n", l.at.Seconds(), l.text)
	}
	return out.String()
}

// Eventf makes a transcript take events.
func (s *transcript) Eventf(object runtime.Object, eventType, reason, format string, args ...any) {
	s.add("event %s %s %s: %s", object.(*corev1.ObjectReference).FieldPath, eventType, reason, fmt.Sprintf(format, args...))
}

func (s *transcript) Event(runtime.Object, string, string, string) { panic("not used") }

func (s *transcript) AnnotatedEventf(runtime.Object, map[string]string, string, string, string, ...any) {
	panic("not used")
}

// container answers commands from a script; a command's first word is the kind
// of probe. The last answer of a kind is given again and again.
type container struct {
	transcript *transcript
	mu         sync.Mutex
	script     map[string][]string
}

func (c *container) Exec(ctx context.Context, _ string, command []string) (agent.ExecResult, error) {
	kind := command[0]
	c.mu.Lock()
	answer := c.script[kind][0]
	if len(c.script[kind]) > 1 {
		c.script[kind] = c.script[kind][1:]
	}
	c.mu.Unlock()
	c.transcript.add("%s %s", kind, answer)
	switch answer {
	case "ok":
		return agent.ExecResult{Output: []byte("fine")}, nil
	case "fail":
		return agent.ExecResult{Output: []byte("not now"), ExitCode: 3}, nil
	case "error":
		return agent.ExecResult{}, errors.New("the runtime is down")
	case "panic":
		panic("a bug")
	case "slow":
		<-ctx.Done()
		return agent.ExecResult{}, fmt.Errorf("command %q timed out: %w", kind, ctx.Err())
	}
	panic("no such answer: " + answer)
}

// scene is a container under probes.
type scene struct {
	t       *testing.T
	out     *transcript
	prober  *Prober
	pod     *corev1.Pod
	target  agent.ProbeTarget
	runs    bool
	last    podstep.ProbeResult
	changes chan struct{}
	done    chan struct{}
	stop    context.CancelFunc
}

func newScene(t *testing.T, spec *corev1.Container, script map[string][]string) *scene {
	out := &transcript{start: time.Now()}
	s := &scene{t: t, out: out, runs: true, changes: make(chan struct{}, 1), done: make(chan struct{})}
	s.pod = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", UID: "u"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{*spec}},
	}
	s.target = agent.ProbeTarget{Spec: spec, ID: "1", Started: out.start}
	s.prober = New(Options{Exec: &container{transcript: out, script: script}, Recorder: out, Wake: func(uid types.UID) {
		if uid != s.pod.UID {
			t.Errorf("woke pod %s", uid)
		}
		select {
		case s.changes <- struct{}{}:
		default:
		}
	}})
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	go func() {
		defer close(s.done)
		s.prober.Run(ctx)
	}()
	return s
}

// sync does what the agent does at each step.
func (s *scene) sync() []podstep.ProbeResult {
	var targets []agent.ProbeTarget
	if s.runs {
		targets = append(targets, s.target)
	}
	return s.prober.Sync(s.pod, targets)
}

// look notes the results once nothing moves any more at this time.
func (s *scene) look() {
	s.sync()
	synctest.Wait()
	for _, got := range s.sync() {
		if got == s.last {
			continue
		}
		s.last = got
		name := [...]string{"pending", "success", "failed"}
		s.out.add("result startup=%s liveness=%s readiness=%s", name[got.Startup], name[got.Liveness], name[got.Readiness])
	}
}

// play lets time pass.
func (s *scene) play(d time.Duration) {
	end := time.After(d)
	for {
		s.look()
		select {
		case <-s.changes:
		case <-end:
			s.look()
			return
		}
	}
}

func (s *scene) close() {
	s.stop()
	<-s.done
}

// TestSchedule tells when probes are made, and what comes of their answers.
// Arguments: KIND=(answers); KIND-delay, -period, -timeout, -failures and
// -successes; known=(kinds that an earlier agent saw succeed); for=SECONDS, or
// for=(SECONDS, ending or gone, SECONDS).
func TestSchedule(t *testing.T) {
	datadriven.Walk(t, "testdata/schedule", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) (out string) {
			synctest.Test(t, func(t *testing.T) { out = playScene(t, d) })
			return out
		})
	})
}

func playScene(t *testing.T, d *datadriven.TestData) string {
	spec := &corev1.Container{Name: "main"}
	script := map[string][]string{}
	for kind, probe := range map[string]**corev1.Probe{
		"startup": &spec.StartupProbe, "liveness": &spec.LivenessProbe, "readiness": &spec.ReadinessProbe,
	} {
		if arg := find(d, kind); arg != nil {
			script[kind] = arg
			*probe = scanProbe(t, d, kind)
		}
	}
	s := newScene(t, spec, script)
	defer s.close()
	for _, known := range find(d, "known") {
		switch known {
		case "startup":
			s.target.Known.Startup = podstep.Success
		case "liveness":
			s.target.Known.Liveness = podstep.Success
		case "readiness":
			s.target.Known.Readiness = podstep.Success
		}
	}
	for _, word := range find(d, "for") {
		switch word {
		case "ending":
			s.target.Ending = true
			s.out.add("the pod is ending")
		case "gone":
			s.runs = false
			s.out.add("the container is gone")
		case "next":
			s.target.Attempt, s.target.ID, s.target.Started = s.target.Attempt+1, s.target.ID+"'", time.Now()
			s.out.add("the next container runs")
		default:
			duration, err := time.ParseDuration(word + "s")
			if err != nil {
				t.Fatal(err)
			}
			s.play(duration)
		}
	}
	return s.out.String()
}

func find(d *datadriven.TestData, key string) []string {
	for _, arg := range d.CmdArgs {
		if arg.Key == key {
			return arg.Vals
		}
	}
	return nil
}

func scanProbe(t *testing.T, d *datadriven.TestData, kind string) *corev1.Probe {
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{kind}}}}
	for name, field := range map[string]*int32{
		"delay": &probe.InitialDelaySeconds, "period": &probe.PeriodSeconds, "timeout": &probe.TimeoutSeconds,
		"failures": &probe.FailureThreshold, "successes": &probe.SuccessThreshold,
	} {
		if key := kind + "-" + name; d.HasArg(key) {
			d.ScanArgs(t, key, field)
		}
	}
	return probe
}

// A container of an earlier agent's is ready until it was probed again, and its
// first probe is not with all the others'.
func TestContainerOfAnEarlierAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const period = 100
		spec := &corev1.Container{Name: "main", ReadinessProbe: &corev1.Probe{
			PeriodSeconds: period, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"readiness"}}},
		}}
		s := newScene(t, spec, map[string][]string{"readiness": {"fail"}})
		defer s.close()
		s.target.Started = time.Now().Add(-time.Hour)
		s.target.Known.Readiness = podstep.Success
		s.play(0)
		if s.last.Readiness != podstep.Success {
			t.Errorf("at first it is %v, want success as before", s.last.Readiness)
		}
		s.play(period * time.Second)
		asked := slices.IndexFunc(s.out.lines, func(l line) bool { return l.text == "readiness fail" })
		if asked < 0 {
			t.Fatalf("it was not probed within a period:\n%s", s.out)
		}
		if s.out.lines[asked].at == 0 {
			t.Error("it was probed at once")
		}
	})
}

// A clock that was set back has a container start in the future, whose probes wait
// for their initial delay all the same, and no longer.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := &corev1.Container{Name: "main", LivenessProbe: &corev1.Probe{
			InitialDelaySeconds: 5,
			ProbeHandler:        corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"liveness"}}},
		}}
		s := newScene(t, spec, map[string][]string{"liveness": {"ok"}})
		defer s.close()
		s.target.Started = time.Now().Add(time.Hour)
		s.play(6 * time.Second)
		if got := s.out.String(); !strings.Contains(got, "\n5s liveness ok\n") {
			t.Errorf("not probed after 5 s:\n%s", got)
		}
	})
}

func TestForgottenPodsAreNotProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := &corev1.Container{Name: "main", LivenessProbe: &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"liveness"}}},
		}}
		s := newScene(t, spec, map[string][]string{"liveness": {"ok"}})
		defer s.close()
		s.play(time.Second)
		s.prober.Forget("another")
		s.prober.Forget(s.pod.UID)
		before := s.out.String()
		time.Sleep(time.Hour)
		if after := s.out.String(); after != before {
			t.Errorf("before:\n%safter:\n%s", before, after)
		}
		if len(s.prober.pods) != 0 {
			t.Error("the pod is remembered")
		}
	})
}

// After the prober has ended, what the agent still says begins nothing.
func TestNothingBeginsAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := &corev1.Container{Name: "main", LivenessProbe: &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"liveness"}}},
		}}
		s := newScene(t, spec, map[string][]string{"liveness": {"ok"}})
		s.close()
		s.look()
		if out := s.out.String(); strings.Contains(out, "liveness ok") {
			t.Errorf("it was probed:\n%s", out)
		}
	})
}

func TestInitContainersAreNamedInEvents(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "sidecar"}}, Containers: []corev1.Container{{Name: "main"}},
	}}
	for container, want := range map[string]string{"sidecar": "spec.initContainers{sidecar}", "main": "spec.containers{main}"} {
		if got := containerReference(pod, container).FieldPath; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := func(kind string) corev1.ProbeHandler {
			return corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{kind}}}
		}
		spec := &corev1.Container{
			Name: "main", LivenessProbe: &corev1.Probe{ProbeHandler: handler("liveness")}, ReadinessProbe: &corev1.Probe{ProbeHandler: handler("readiness")},
		}
		s := newScene(t, spec, map[string][]string{"liveness": {"ok"}, "readiness": {"fail", "ok", "error"}})
		defer s.close()
		s.play(25 * time.Second)
		ask := func() string {
			w := httptest.NewRecorder()
			s.prober.Metrics().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics/probes", nil))
			return w.Body.String()
		}
		got := ask()
		for _, want := range []string{
			`prober_probe_total{container="main",namespace="default",pod="a",pod_uid="u",probe_type="Liveness",result="successful"} 3`,
			`prober_probe_total{container="main",namespace="default",pod="a",pod_uid="u",probe_type="Readiness",result="failed"} 1`,
			`prober_probe_total{container="main",namespace="default",pod="a",pod_uid="u",probe_type="Readiness",result="successful"} 1`,
			`prober_probe_total{container="main",namespace="default",pod="a",pod_uid="u",probe_type="Readiness",result="unknown"} 1`,
			`prober_probe_duration_seconds_count{container="main",namespace="default",pod="a",probe_type="Readiness"} 2`,
		} {
			if !strings.Contains(got, want+"\n") {
				t.Errorf("it lacks %s:\n%s", want, got)
			}
		}
		s.prober.Forget(s.pod.UID)
		if got := ask(); strings.Contains(got, `pod="a"`) {
			t.Errorf("of a pod that is gone there is still:\n%s", got)
		}
	})
}
