package daemonset

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/prepull"
)

// able lets the agents of nodes fetch images before they are needed.
func (b *bench) able(names ...string) {
	b.Helper()
	for _, name := range names {
		patch := []byte(`{"metadata":{"annotations":{"` + prepull.FeaturesAnnotation + `":"` + prepull.Feature + `"}}}`)
		if _, err := b.client.CoreV1().Nodes().Patch(b.Context(), b.node(name), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// asked is how many agents have been asked for images.
func (b *bench) asked() int {
	b.Helper()
	asked := 0
	for _, pod := range b.pods() {
		if _, ok := prepull.RequestOf(&pod); ok {
			asked++
		}
	}
	return asked
}

// answer lets the agents answer what they were asked, as fetch says for each image.
func (b *bench) answer(fetch func(image string) error) {
	b.Helper()
	for _, pod := range b.pods() {
		request, ok := prepull.RequestOf(&pod)
		if given, _ := prepull.AnswerOf(&pod); !ok || given.Revision == request.Revision {
			continue
		}
		answer := prepull.Answer{Revision: request.Revision, Pulled: true, Reason: prepull.ReasonPulled, Message: "done"}
		for _, image := range request.Images {
			if err := fetch(image.Name); err != nil {
				answer = prepull.Answer{Revision: request.Revision, Reason: prepull.ReasonErrImagePull, Message: err.Error()}
			}
		}
		pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == prepull.ConditionType })
		pod.Status.Conditions = append(pod.Status.Conditions, answer.Condition())
		_, _ = b.client.CoreV1().Pods(pod.Namespace).UpdateStatus(b.Context(), &pod, metav1.UpdateOptions{}) // it may have changed
	}
}

func (b *bench) condition(kind string) appsv1.DaemonSetCondition {
	b.Helper()
	conditions := b.daemonSet().Status.Conditions
	i := slices.IndexFunc(conditions, func(c appsv1.DaemonSetCondition) bool { return string(c.Type) == kind })
	if i < 0 {
		b.Fatalf("no condition %s: %+v", kind, conditions)
	}
	return conditions[i]
}

// unchanged reports whether the nodes have the pods that they had before.
func (b *bench) unchanged(before map[string]string, nodes ...string) bool {
	b.Helper()
	now := names(b.pods())
	return !slices.ContainsFunc(nodes, func(n string) bool { return now[b.node(n)] != before[b.node(n)] })
}

func present(string) error { return nil }

func absent(image string) error { return errors.New(image + " is nowhere") }

// A pod makes way when its node has the images for the next one. Nodes whose agent
// cannot fetch them are not waited for.
func TestImagesComeFirst(t *testing.T) {
	b := newBench(t)
	b.addNodes("a", "b", "c", "d")
	b.able("a", "b", "c")
	b.apply(nil)
	b.complete()
	before := names(b.pods())
	b.setImage("image:2")
	b.until("d is updated, two are asked", func() bool {
		if !b.unchanged(before, "a", "b", "c") {
			t.Fatalf("a pod has gone without images for its successor: %s", describe(b.pods()))
		}
		return b.daemonSet().Status.UpdatedNumberScheduled == 1 && b.asked() == 2
	})
	b.until("the rest follows", func() bool {
		b.answer(present)
		st := b.daemonSet().Status
		return st.UpdatedNumberScheduled == 4 && st.NumberAvailable == 4
	})
	for _, pod := range b.pods() {
		if target(&pod) == b.node("d") && pod.Annotations[prepull.Annotation] != "" {
			t.Error("the agent of d was asked, but cannot")
		}
	}
}

// An image that nobody has takes down no pod; the conditions and an event say
// where it is missing. The next revision is fetched anew.
func TestMissingImagesTakeDownNothing(t *testing.T) {
	b := newBench(t)
	b.addNodes("a", "b", "c")
	b.able("a", "b", "c")
	b.apply(nil)
	b.complete()
	before := names(b.pods())
	b.told()
	b.setImage("image:2")
	b.until("blocked", func() bool {
		b.answer(absent)
		if !b.unchanged(before, "a", "b", "c") {
			t.Fatalf("a pod has gone: %s", describe(b.pods()))
		}
		blocked, progressing := b.condition(rollout.Blocked), b.condition(rollout.Progressing)
		return blocked.Reason == "ImagesNotPulled" && strings.Contains(blocked.Message, b.node("b")+" (ErrImagePull)") && progressing.Reason == "Blocked"
	})
	if n := b.asked(); n != 2 {
		t.Errorf("%d agents were asked, want 2", n)
	}
	if told := b.told(); !slices.ContainsFunc(told, func(e string) bool { return strings.HasPrefix(e, "Warning ImagesNotPulled ") }) {
		t.Errorf("no event says that images are missing: %q", told)
	}
	b.setImage("image:3")
	b.until("the next revision", func() bool {
		b.answer(present)
		st := b.daemonSet().Status
		return st.UpdatedNumberScheduled == 3 && st.NumberAvailable == 3
	})
	if blocked := b.condition(rollout.Blocked); blocked.Status != corev1.ConditionFalse {
		t.Errorf("still blocked: %+v", blocked)
	}
}

// The DaemonSet may do without, also in the midst of it.
func TestFetchingCanBeTurnedOff(t *testing.T) {
	b := newBench(t)
	b.addNodes("a", "b")
	b.able("a", "b")
	b.apply(nil)
	b.complete()
	b.setImage("image:2")
	b.until("both are asked", func() bool { return b.asked() == 2 })
	b.edit(func(ds *appsv1.DaemonSet) {
		ds.Annotations = map[string]string{prepull.Annotation: "false"}
	})
	b.complete()
}

// A node whose agent cannot fetch any more is updated as usual.
func TestAgentsThatCannotFetchAnyMore(t *testing.T) {
	b := newBench(t)
	b.addNodes("a")
	b.able("a")
	b.apply(nil)
	b.complete()
	b.setImage("image:2")
	b.until("a is asked", func() bool { return b.asked() == 1 })
	patch := []byte(`{"metadata":{"annotations":{"` + prepull.FeaturesAnnotation + `":null}}}`)
	if _, err := b.client.CoreV1().Nodes().Patch(t.Context(), b.node("a"), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	b.complete()
}

// Pods that wait for a scheduler that nobody runs: it is named.
func TestForeignScheduler(t *testing.T) {
	b := newBench(t)
	b.idle = true
	b.addNodes("a", "b")
	b.apply(func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.SchedulerName = "batch" })
	b.until("pods", func() bool { return len(b.pods()) == 2 && b.daemonSet().Status.CurrentNumberScheduled == 2 })
	if blocked := b.condition(rollout.Blocked); blocked.Status != corev1.ConditionFalse {
		t.Errorf("blocked at once: %+v", blocked)
	}
	b.c.clock = clocktesting.NewFakeClock(time.Now().Add(time.Minute))
	b.until("blocked", func() bool { return b.condition(rollout.Blocked).Status == corev1.ConditionTrue })
	blocked := b.condition(rollout.Blocked)
	want := "the scheduler that the pods name does not take them up on " + b.node("a") + " (batch), " + b.node("b") + " (batch)"
	if blocked.Reason != "PodsNotScheduled" || blocked.Message != want {
		t.Errorf("%+v", blocked)
	}
	if told := b.told(); !slices.Contains(told, "Warning PodsNotScheduled "+want) {
		t.Errorf("no event says so: %q", told)
	}
}
