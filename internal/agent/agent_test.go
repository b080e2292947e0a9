package agent_test

import (
	"errors"
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
// beginning.
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

// command runs one command, and gives what there is to see.
func (w *world) command(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "run":
		w.run(parse(t, arg(d, 0)))
		return w.told()
	case "condition":
		return w.condition(podName(d), corev1.PodConditionType(arg(d, 1)))
	case "status":
		return w.status(podName(d))
	case "holdings":
		return w.holdings()
	case "logs":
		return w.logs(t)
	}
	commands := []map[string]func(*testing.T, *datadriven.TestData){w.wishes(), w.changes(), w.happenings(), w.agentCommands()}
	for _, of := range commands {
		if does, known := of[d.Cmd]; known {
			does(t, d)
			return ""
		}
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func arg(d *datadriven.TestData, i int) string { return d.CmdArgs[i].Key }

// podName is the pod that a command is about.
func podName(d *datadriven.TestData) types.NamespacedName {
	return types.NamespacedName{Namespace: "default", Name: arg(d, 0)}
}

// wishes are what users and machines ask for.
func (w *world) wishes() map[string]func(*testing.T, *datadriven.TestData) {
	return map[string]func(*testing.T, *datadriven.TestData){
		"pod": func(t *testing.T, d *datadriven.TestData) {
			for _, pod := range w.pods(d.Input) {
				if _, err := w.api.CreatePod(t.Context(), pod); err != nil {
					t.Fatal(err)
				}
			}
		},
		"static": func(_ *testing.T, d *datadriven.TestData) {
			pods := w.pods(d.Input)
			for _, pod := range pods {
				pod.UID = types.UID("static-" + pod.Annotations["version"])
				metav1.SetMetaDataAnnotation(&pod.ObjectMeta, agent.SourceAnnotation, "file")
			}
			w.static.set(pods)
		},
		"delete": func(t *testing.T, d *datadriven.TestData) {
			grace := w.api.get(podName(d)).Spec.TerminationGracePeriodSeconds
			if d.HasArg("force") {
				grace = ptr.To[int64](0)
			}
			if err := w.api.DeletePod(t.Context(), podName(d), metav1.DeleteOptions{GracePeriodSeconds: grace}); err != nil {
				t.Fatal(err)
			}
		},
		"debug": func(_ *testing.T, d *datadriven.TestData) {
			w.api.change(podName(d), func(pod *corev1.Pod) {
				pod.Generation++
				pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
					TargetContainerName:      arg(d, 2),
					EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: arg(d, 1), Image: "busybox", ImagePullPolicy: corev1.PullIfNotPresent},
				})
			})
		},
	}
}

// changes are what others do to pods.
func (w *world) changes() map[string]func(*testing.T, *datadriven.TestData) {
	return map[string]func(*testing.T, *datadriven.TestData){
		"fail": func(_ *testing.T, d *datadriven.TestData) {
			w.api.change(podName(d), func(pod *corev1.Pod) {
				pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, arg(d, 1), "somebody said so"
			})
		},
		"finalizer": func(_ *testing.T, d *datadriven.TestData) {
			w.api.change(podName(d), func(pod *corev1.Pod) { pod.Finalizers = []string{arg(d, 1)} })
		},
		"replace": func(_ *testing.T, d *datadriven.TestData) {
			w.api.change(podName(d), func(pod *corev1.Pod) {
				pod.UID, pod.Status = "another", corev1.PodStatus{Phase: corev1.PodPending}
			})
		},
		"set-image": func(_ *testing.T, d *datadriven.TestData) {
			w.api.change(podName(d), func(pod *corev1.Pod) {
				pod.Generation++
				pod.Spec.Containers[0].Image = arg(d, 1)
			})
		},
		"label": func(_ *testing.T, d *datadriven.TestData) {
			w.api.change(podName(d), func(pod *corev1.Pod) { metav1.SetMetaDataLabel(&pod.ObjectMeta, arg(d, 1), "yes") })
		},
		"annotate": func(_ *testing.T, d *datadriven.TestData) {
			key, value, _ := strings.Cut(strings.TrimSpace(d.Input), " ")
			w.api.change(podName(d), func(pod *corev1.Pod) { metav1.SetMetaDataAnnotation(&pod.ObjectMeta, key, value) })
		},
		"objects-changed": func(_ *testing.T, d *datadriven.TestData) { w.agent.ObjectsChanged(w.api.get(podName(d)).UID) },
		"node":            func(_ *testing.T, d *datadriven.TestData) { w.nodeGone.Store(arg(d, 0) == "gone") },
		"api": func(_ *testing.T, d *datadriven.TestData) {
			w.api.fail(map[string]error{"away": errors.New("the API server is away"), "back": nil}[arg(d, 0)])
		},
	}
}

// happenings are what befalls a machine.
func (w *world) happenings() map[string]func(*testing.T, *datadriven.TestData) {
	return map[string]func(*testing.T, *datadriven.TestData){
		"images": func(_ *testing.T, d *datadriven.TestData) { w.hidden.Store(arg(d, 0) == "hidden") },
		"image":  func(_ *testing.T, d *datadriven.TestData) { w.runtime.AddImage(arg(d, 0)) },
		"import": func(_ *testing.T, d *datadriven.TestData) {
			w.runtime.AddImage(arg(d, 0))
			w.agent.ImagesChanged()
		},
		"exit": func(t *testing.T, d *datadriven.TestData) {
			var code int
			d.ScanArgs(t, "code", &code)
			w.runtime.Exit(w.container(arg(d, 0)), int32(code))
		},
		"break-sandbox": func(_ *testing.T, d *datadriven.TestData) {
			for _, f := range w.agent.All() {
				if s, found := f.Sandbox(); found && f.Object.Name == arg(d, 0) {
					w.runtime.BreakSandbox(s.ID)
				}
			}
		},
		"unseen":      func(_ *testing.T, d *datadriven.TestData) { w.unseen.Store(arg(d, 0)) },
		"leave-files": func(t *testing.T, d *datadriven.TestData) { w.leaveFiles(t, types.UID(arg(d, 0))) },
		"lose-files":  func(*testing.T, *datadriven.TestData) { w.volumes.lose() },
		"probe":       func(t *testing.T, d *datadriven.TestData) { w.prober.set(w.api.get(podName(d)).UID, probeResult(t, d)) },
		"volumes":     func(_ *testing.T, d *datadriven.TestData) { w.volumes.behave(arg(d, 0)) },
	}
}

// agentCommands are about the agent itself.
func (w *world) agentCommands() map[string]func(*testing.T, *datadriven.TestData) {
	return map[string]func(*testing.T, *datadriven.TestData){
		"stop":  func(*testing.T, *datadriven.TestData) { w.stop() },
		"start": func(*testing.T, *datadriven.TestData) { w.startAgent() },
		"evict": func(_ *testing.T, d *datadriven.TestData) {
			w.agent.Fail(w.api.get(podName(d)), podstep.Failure{
				Reason: "Evicted", Message: "The node was low on resource: memory.", Grace: ptr.To(time.Second),
			})
		},
	}
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
