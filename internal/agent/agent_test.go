package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/api/defaults"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// TestStories runs the transcripts in testdata. Each is one machine from its
// beginning; its commands are the methods of story.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer func() { w.stop(); w.api.source.Broadcaster.Shutdown() }()
			w.run(time.Second)
			datadriven.RunTest(t, path, w.command)
		})
	})
}

func (w *world) command(t *testing.T, d *datadriven.TestData) string {
	arg := func(i int) string { return d.CmdArgs[i].Key }
	name := func() types.NamespacedName { return types.NamespacedName{Namespace: "default", Name: arg(0)} }
	switch d.Cmd {
	case "fail":
		w.api.change(name(), func(pod *corev1.Pod) {
			pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, arg(1), "somebody said so"
		})
	case "finalizer":
		w.api.change(name(), func(pod *corev1.Pod) { pod.Finalizers = []string{arg(1)} })
	case "debug":
		w.api.change(name(), func(pod *corev1.Pod) {
			pod.Generation++
			pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
				TargetContainerName:      arg(2),
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: arg(1), Image: "busybox", ImagePullPolicy: corev1.PullIfNotPresent},
			})
		})
	case "label":
		w.api.change(name(), func(pod *corev1.Pod) { metav1.SetMetaDataLabel(&pod.ObjectMeta, arg(1), "yes") })
	case "node":
		w.nodeGone.Store(arg(0) == "gone")
	case "image":
		w.runtime.AddImage(arg(0))
	case "pod":
		for _, pod := range w.pods(d.Input) {
			if _, err := w.api.CreatePod(t.Context(), pod); err != nil {
				return err.Error() + "\n"
			}
		}
	case "static":
		pods := w.pods(d.Input)
		for _, pod := range pods {
			uid := "static-" + pod.Annotations["version"]
			pod.UID = types.UID(uid)
			metav1.SetMetaDataAnnotation(&pod.ObjectMeta, agent.SourceAnnotation, "file")
		}
		w.static.set(pods)
	case "run":
		w.run(parse(t, arg(0)))
		return w.told()
	case "delete":
		pod := w.api.get(name())
		grace := pod.Spec.TerminationGracePeriodSeconds
		if d.HasArg("force") {
			grace = ptr.To[int64](0)
		}
		if err := w.api.DeletePod(t.Context(), name(), metav1.DeleteOptions{GracePeriodSeconds: grace}); err != nil {
			return err.Error() + "\n"
		}
	case "exit":
		var code int
		d.ScanArgs(t, "code", &code)
		w.runtime.Exit(w.container(arg(0)), int32(code))
	case "probe":
		w.prober.set(w.api.get(name()).UID, probeResult(t, d))
	case "stop":
		w.stop()
	case "start":
		w.startAgent()
	case "api":
		w.api.mu.Lock()
		w.api.failing = map[string]error{"away": fmt.Errorf("the API server is away"), "back": nil}[arg(0)]
		w.api.mu.Unlock()
	case "evict":
		w.agent.Fail(w.api.get(name()), podstep.Failure{Reason: "Evicted", Message: "The node was low on resource: memory.", Grace: ptr.To(time.Second)})
	case "break-sandbox":
		for _, f := range w.agent.All() {
			if s, found := f.Sandbox(); found && f.Object.Name == arg(0) {
				w.runtime.BreakSandbox(s.ID)
			}
		}
	case "volumes":
		w.volumes.mu.Lock()
		w.volumes.fail = map[string]error{"fail": fmt.Errorf(`MountVolume.SetUp failed for volume "config" : configmap "none" not found`), "work": nil}[arg(0)]
		w.volumes.mu.Unlock()
	case "objects-changed":
		w.agent.ObjectsChanged(w.api.get(name()).UID)
	case "annotate":
		key, value, _ := strings.Cut(strings.TrimSpace(d.Input), " ")
		w.api.annotate(name(), key, value)
	case "condition":
		return w.condition(name(), corev1.PodConditionType(arg(1)))
	case "status":
		return w.status(name())
	case "holdings":
		return w.holdings()
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return ""
}

// pods reads pods of the node, with defaults.
func (w *world) pods(text string) []*corev1.Pod {
	var out []*corev1.Pod
	for doc := range strings.SplitSeq(text, "---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		pod := &corev1.Pod{}
		if err := yaml.UnmarshalStrict([]byte(doc), pod); err != nil {
			w.t.Fatal(err)
		}
		pod.Namespace, pod.Spec.NodeName = "default", "node-a"
		defaults.Pod(pod)
		out = append(out, pod)
	}
	return out
}

func parse(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func probeResult(t *testing.T, d *datadriven.TestData) podstep.ProbeResult {
	results := map[string]podstep.Result{"success": podstep.Success, "failed": podstep.Failed}
	r := podstep.ProbeResult{Container: d.CmdArgs[1].Key}
	for _, arg := range d.CmdArgs[2:] {
		switch arg.Key {
		case "attempt":
			d.ScanArgs(t, "attempt", &r.Attempt)
		case "startup":
			r.Startup = results[arg.Vals[0]]
		case "liveness":
			r.Liveness = results[arg.Vals[0]]
		case "readiness":
			r.Readiness = results[arg.Vals[0]]
		}
	}
	return r
}

// condition is one condition of a pod, as the API has it.
func (w *world) condition(name types.NamespacedName, kind corev1.PodConditionType) string {
	for _, c := range w.api.get(name).Status.Conditions {
		if c.Type == kind {
			return fmt.Sprintf("%s %s %s\n", c.Status, c.Reason, c.Message)
		}
	}
	return "none\n"
}

// status is what the API has of a pod.
func (w *world) status(name types.NamespacedName) string {
	pod := w.api.get(name)
	if pod == nil {
		return "gone\n"
	}
	text, err := yaml.Marshal(pod.Status)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// holdings are what the runtime has.
func (w *world) holdings() string {
	holdings, err := w.runtime.Look(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	states := map[podstep.ContainerState]string{podstep.Created: "created", podstep.Running: "running", podstep.Exited: "exited", podstep.Unknown: "unknown"}
	var out strings.Builder
	for _, h := range holdings {
		for _, s := range h.Sandboxes {
			fmt.Fprintf(&out, "%s sandbox #%d ready=%t\n", h.Pod.Name, s.Attempt, s.Ready)
		}
		for _, c := range h.Containers {
			fmt.Fprintf(&out, "%s %s #%d %s\n", h.Pod.Name, c.Name, c.Attempt, states[c.State])
		}
	}
	return out.String()
}
