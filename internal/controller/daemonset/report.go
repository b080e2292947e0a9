package daemonset

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/view"
)

// report writes the status if it differs. Only a turn that succeeded says that
// it has observed the generation.
func (t *turn) report(ctx context.Context, st rollout.Status, succeeded bool) error {
	ds := t.ds
	for attempt := 0; ; attempt++ {
		status := view.Status(&ds.Status, st, t.clock.Now())
		if succeeded {
			status.ObservedGeneration = t.ds.Generation
		}
		if equality.Semantic.DeepEqual(&ds.Status, status) {
			return nil
		}
		updated := ds.DeepCopy()
		updated.Status = *status
		t.watched.wrote(t.key(), status)
		written, err := t.writer.UpdateDaemonSetStatus(ctx, updated)
		if err == nil {
			t.expectStatus(written)
			t.tellBlocked(&ds.Status, status)
			return nil
		}
		if attempt > 0 || !apierrors.IsConflict(err) {
			return fmt.Errorf("update status of daemon set %s: %w", t.key(), err)
		}
		// Someone else has written: once more, from what is there now.
		ds, err = t.client.AppsV1().DaemonSets(t.ds.Namespace).Get(ctx, t.ds.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("get daemon set %s: %w", t.key(), err)
		}
		if ds.UID != t.ds.UID {
			return nil
		}
	}
}

// tellBlocked makes an event of what has begun to block the DaemonSet, for those
// who look at its events and not at its conditions.
func (t *turn) tellBlocked(old, now *appsv1.DaemonSetStatus) {
	if is, was := blockedBy(now), blockedBy(old); is.Reason != was.Reason && is.Status == corev1.ConditionTrue {
		t.events.Event(t.ds, corev1.EventTypeWarning, is.Reason, is.Message)
	}
}

func blockedBy(status *appsv1.DaemonSetStatus) appsv1.DaemonSetCondition {
	for _, c := range status.Conditions {
		if c.Type == rollout.Blocked {
			return c
		}
	}
	return appsv1.DaemonSetCondition{}
}

// expectStatus waits for the caches to show a status that was written.
func (t *turn) expectStatus(written *appsv1.DaemonSet) {
	key := t.key()
	t.memory.ledger.expect(expectation{
		what: "status of daemon set " + key.String(),
		shown: func() bool {
			cached, err := t.sets.DaemonSets(key.Namespace).Get(key.Name)
			return err == nil && (cached.UID != written.UID || atLeast(cached.ResourceVersion, written.ResourceVersion))
		},
		void: func(ctx context.Context) (bool, error) {
			live, err := t.client.AppsV1().DaemonSets(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
			return apierrors.IsNotFound(err) || err == nil && live.UID != written.UID, ignoreNotFound(err)
		},
	})
}

// namesTold is how many pods the events of one turn and reason name.
const namesTold = 5

// summary gathers what one turn did into few events: each pod its own event
// while there are few, and one for the rest.
type summary struct {
	turn                 *turn
	reason, one, several string
	names                []string
}

func newSummary(t *turn, reason, one, several string) *summary {
	return &summary{turn: t, reason: reason, one: one, several: several}
}

func (s *summary) add(name string) { s.names = append(s.names, name) }

func (s *summary) tell(kind string) {
	if len(s.names) <= namesTold {
		for _, name := range s.names {
			s.turn.events.Event(s.turn.ds, kind, s.reason, s.one+name)
		}
		return
	}
	s.turn.events.Eventf(s.turn.ds, kind, s.reason, "%s%s and %d more",
		s.several, strings.Join(s.names[:namesTold], ", "), len(s.names)-namesTold)
}

// tellFailures makes one event of the failures of a turn, which are usually the
// same over and over.
func (t *turn) tellFailures(reason, prefix string, errs []error) {
	text := prefix + errs[0].Error()
	if more := len(errs) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	t.events.Event(t.ds, corev1.EventTypeWarning, reason, text)
}

// checkGrace tells, once, of a placement grace that cannot be read.
func (t *turn) checkGrace() {
	text := ""
	if _, err := view.PlacementGrace(t.ds); err != nil {
		text = t.ds.Annotations[view.PlacementGraceAnnotation]
		if text != t.memory.refusedGrace {
			t.events.Event(t.ds, corev1.EventTypeWarning, "InvalidPlacementGrace", err.Error())
		}
	}
	t.memory.refusedGrace = text
}

// tellEnded tells of pods that are deleted because they have ended.
func (t *turn) tellEnded(actions []rollout.Action) {
	for _, c := range []struct {
		why                rollout.Kind
		kind, reason, text string
	}{
		{rollout.RemoveFailed, corev1.EventTypeWarning, "FailedDaemonPod",
			"Found failed daemon pod %s/%s on node %s, will try to kill it"},
		{rollout.RemoveSucceeded, corev1.EventTypeNormal, "SucceededDaemonPod",
			"Found succeeded daemon pod %s/%s on node %s, will try to delete it"},
	} {
		told := 0
		for _, a := range actions {
			if a.Why != c.why {
				continue
			}
			if told++; told <= namesTold {
				t.events.Eventf(t.ds, c.kind, c.reason, c.text, t.ds.Namespace, a.Pod, a.Node)
			}
		}
		if more := told - namesTold; more > 0 {
			t.events.Eventf(t.ds, c.kind, c.reason, "And the same of %d more pods", more)
		}
	}
}
