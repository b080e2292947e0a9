package daemonset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/view"
)

const (
	// maxBatch is how many pods one turn creates, how many it deletes, and how many
	// it has images fetched for.
	maxBatch = 250
	// firstWindow is how many creates are tried at once while it is unknown
	// whether they succeed: a full quota is met by one failure, not by hundreds.
	firstWindow = 1
	// concurrency is how many writes are under way at once.
	concurrency = 32
)

// act carries out as many of the actions as fit in a batch.
func (t *turn) act(ctx context.Context, hash string, actions []rollout.Action) error {
	err := t.createPods(ctx, hash, batch(actions, rollout.Create))
	deletes := batch(actions, rollout.Delete)
	if err != nil {
		// While no pods can be created, none that serve are taken down.
		deletes = slices.DeleteFunc(deletes, func(a rollout.Action) bool {
			return a.Why == rollout.Replace || a.Why == rollout.RemoveOutdated
		})
	}
	return errors.Join(err, t.deletePods(ctx, deletes), t.requestImages(ctx, hash, batch(actions, rollout.Fetch)))
}

// batch takes the first actions of a verb.
func batch(actions []rollout.Action, verb rollout.Verb) []rollout.Action {
	var some []rollout.Action
	for _, a := range actions {
		if a.Verb == verb && len(some) < maxBatch {
			some = append(some, a)
		}
	}
	return some
}

// createPods creates pods in windows that double while all goes well, and stops
// after the first window with a failure.
func (t *turn) createPods(ctx context.Context, hash string, actions []rollout.Action) error {
	m := t.memory
	log := newSummary(t, "SuccessfulCreate", "Created pod: ", "Created pods: ")
	defer log.tell(corev1.EventTypeNormal)
	m.createFailure = ""
	for len(actions) > 0 {
		n := min(m.window, len(actions))
		results := parallel(actions[:n], func(a rollout.Action) outcome { return t.createPod(ctx, hash, a) })
		var errs []error
		for i, r := range results {
			switch {
			case r.created != nil:
				log.add(r.created.Name)
				t.expectPod(r.created)
			case r.taken:
				m.take(actions[i].Pod)
				errs = append(errs, fmt.Errorf("create pod %s: the name is taken", actions[i].Pod))
			case r.err != nil:
				m.createFailure = r.err.Error()
				errs = append(errs, r.err)
			}
		}
		if len(errs) > 0 {
			m.window = firstWindow
			t.tellFailures("FailedCreate", "Error creating: ", errs)
			return errs[0]
		}
		m.window = min(2*m.window, maxBatch)
		actions = actions[n:]
	}
	return nil
}

// outcome is what became of a create. All fields empty means that it does not
// matter any more.
type outcome struct {
	created *corev1.Pod
	// taken: another pod has the name.
	taken bool
	err   error
}

// createPod creates one pod. That it exists already is as good, for names are
// derived: an earlier attempt has succeeded without our knowing.
func (t *turn) createPod(ctx context.Context, hash string, a rollout.Action) outcome {
	pod, err := t.writer.CreatePod(ctx, view.NewPod(t.ds, hash, a.Node, a.Pod))
	switch {
	case err == nil:
		return outcome{created: pod}
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return outcome{} // nothing is created here any more
	case !apierrors.IsAlreadyExists(err):
		return outcome{err: err}
	}
	there, err := t.client.CoreV1().Pods(t.ds.Namespace).Get(ctx, a.Pod, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return outcome{err: fmt.Errorf("pod %s has just gone", a.Pod)}
	case err != nil:
		return outcome{err: err}
	case view.Controls(t.ds, there) && there.DeletionTimestamp == nil:
		return outcome{created: there}
	}
	return outcome{taken: true}
}

// take notes a name that someone else has.
func (m *memory) take(name string) {
	if i, found := slices.BinarySearch(m.taken, name); !found {
		m.taken = slices.Insert(slices.Clone(m.taken), i, name)
	}
}

// deletePods deletes pods, each only if it is still the one that was judged.
func (t *turn) deletePods(ctx context.Context, actions []rollout.Action) error {
	t.tellEnded(actions)
	log := newSummary(t, "SuccessfulDelete", "Deleted pod: ", "Deleted pods: ")
	defer log.tell(corev1.EventTypeNormal)
	errs := parallel(actions, func(a rollout.Action) error {
		name := types.NamespacedName{Namespace: t.ds.Namespace, Name: a.Pod}
		return t.writer.DeletePod(ctx, name, *metav1.NewPreconditionDeleteOptions(a.UID))
	})
	var failed []error
	for i, err := range errs {
		switch {
		case err == nil:
			log.add(actions[i].Pod)
		case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
			// Gone, or another pod has the name by now.
		default:
			failed = append(failed, err)
			continue
		}
		t.expectGone(actions[i])
	}
	if len(failed) == 0 {
		return nil
	}
	t.tellFailures("FailedDelete", "Error deleting: ", failed)
	return failed[0]
}

// expectPod waits for the caches to show a pod that was created.
func (t *turn) expectPod(pod *corev1.Pod) {
	namespace, name, uid, version := pod.Namespace, pod.Name, pod.UID, pod.ResourceVersion
	t.memory.ledger.expect(expectation{
		what: "pod " + name,
		shown: func() bool {
			cached, err := t.pods.Pods(namespace).Get(name)
			return err == nil && cached.UID == uid || atLeast(t.podIndex.LastStoreSyncResourceVersion(), version)
		},
		void: func(ctx context.Context) (bool, error) {
			live, err := t.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err) || err == nil && live.UID != uid, ignoreNotFound(err)
		},
	})
}

// expectGone waits for the caches to show that a pod is deleted or going.
func (t *turn) expectGone(a rollout.Action) {
	namespace := t.ds.Namespace
	t.memory.ledger.expect(expectation{
		what: "deletion of pod " + a.Pod,
		shown: func() bool {
			cached, err := t.pods.Pods(namespace).Get(a.Pod)
			return apierrors.IsNotFound(err) || err == nil && (string(cached.UID) != a.UID || cached.DeletionTimestamp != nil)
		},
		void: func(ctx context.Context) (bool, error) {
			live, err := t.client.CoreV1().Pods(namespace).Get(ctx, a.Pod, metav1.GetOptions{})
			return err == nil && string(live.UID) == a.UID && live.DeletionTimestamp == nil, ignoreNotFound(err)
		},
	})
}

// parallel calls f for every item, some at a time, and returns the results in
// the order of the items.
func parallel[T, R any](items []T, f func(T) R) []R {
	results := make([]R, len(items))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(concurrency, len(items)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(items); i = next.Add(1) - 1 {
				results[i] = f(items[i])
			}
		})
	}
	workers.Wait()
	return results
}
