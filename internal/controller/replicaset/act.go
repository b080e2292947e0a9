package replicaset

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
)

const (
	// maxBatch is how many pods one turn creates or deletes.
	maxBatch = 500
	// concurrency is how many writes are under way at once.
	concurrency = 16
)

// failure is why pods could not be created or deleted.
type failure struct {
	reason string // FailedCreate or FailedDelete
	err    error
}

// act carries out as much of a decision as fits in a batch.
func (t *turn) act(ctx context.Context, d decision) *failure {
	if err := t.create(ctx, min(d.Create, maxBatch)); err != nil {
		t.events.Eventf(t.rs, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
		return &failure{"FailedCreate", err}
	}
	if err := t.delete(ctx, d.Delete[:min(len(d.Delete), maxBatch)]); err != nil {
		t.events.Eventf(t.rs, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
		return &failure{"FailedDelete", err}
	}
	return nil
}

// create creates so many pods, in windows that double while all goes well: a full
// quota is met by one failure, not by hundreds.
func (t *turn) create(ctx context.Context, count int) error {
	for window := 1; count > 0; window *= 2 {
		pods := make([]*corev1.Pod, min(window, count))
		errs := make([]error, len(pods))
		workqueue.ParallelizeUntil(ctx, concurrency, len(pods), func(i int) {
			pods[i], errs[i] = t.Writer.CreatePod(ctx, newPod(t.rs))
		})
		if err := t.created(pods, errs); err != nil {
			return err
		}
		count -= len(pods)
	}
	return nil
}

// created books what became of some creates, and returns the first error.
func (t *turn) created(pods []*corev1.Pod, errs []error) error {
	var first error
	for i, pod := range pods {
		switch err := errs[i]; {
		case err == nil && pod != nil: // nil: the end came first
			t.ledger.created[pod.UID] = pod
			t.events.Eventf(t.rs, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %s", pod.Name)
		case err == nil || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
			// Nothing is created here any more.
		case first == nil:
			first = err
		}
	}
	return first
}

// newPod makes a pod of the template.
func newPod(rs *appsv1.ReplicaSet) *corev1.Pod {
	template := rs.Spec.Template.DeepCopy()
	prefix := rs.Name + "-"
	if len(validation.NameIsDNSSubdomain(prefix, true)) > 0 {
		prefix = rs.Name
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName:    prefix,
			Namespace:       rs.Namespace,
			Labels:          template.Labels,
			Annotations:     template.Annotations,
			Finalizers:      template.Finalizers,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(rs, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: template.Spec,
	}
}

// delete deletes pods, each only if it is still the one that was judged.
func (t *turn) delete(ctx context.Context, pods []*corev1.Pod) error {
	errs := make([]error, len(pods))
	workqueue.ParallelizeUntil(ctx, concurrency, len(pods), func(i int) {
		errs[i] = t.Writer.DeletePod(ctx, keyOf(pods[i]), *metav1.NewPreconditionDeleteOptions(string(pods[i].UID)))
	})
	var first error
	for i, pod := range pods {
		switch err := errs[i]; {
		case err == nil:
			t.ledger.deleted[pod.UID] = pod
			t.events.Eventf(t.rs, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %s", pod.Name)
		case apierrors.IsNotFound(err) || apierrors.IsConflict(err): // gone, or another pod has the name
			t.ledger.deleted[pod.UID] = pod
		case first == nil:
			first = err
		}
	}
	return first
}

// report writes the status if it differs.
func (t *turn) report(ctx context.Context, n counts, failed *failure) error {
	updated := t.rs.DeepCopy()
	s := &updated.Status
	s.ObservedGeneration = t.rs.Generation
	s.Replicas, s.FullyLabeledReplicas = n.Replicas, n.Labelled
	s.ReadyReplicas, s.AvailableReplicas = n.Ready, n.Available
	s.TerminatingReplicas = &n.Terminating
	s.Conditions = t.conditions(failed)
	if equality.Semantic.DeepEqual(&t.rs.Status, s) {
		return nil
	}
	if _, err := t.Client.AppsV1().ReplicaSets(t.rs.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("update status of replica set %s: %w", t.key(), err)
	}
	return nil
}

// conditions has ReplicaFailure for as long as the latest turn failed; it keeps
// the first reason.
func (t *turn) conditions(failed *failure) []appsv1.ReplicaSetCondition {
	var kept []appsv1.ReplicaSetCondition
	for _, c := range t.rs.Status.Conditions {
		if c.Type != appsv1.ReplicaSetReplicaFailure {
			kept = append(kept, c)
		} else if failed != nil {
			return t.rs.Status.Conditions
		}
	}
	if failed == nil {
		return kept
	}
	return append(kept, appsv1.ReplicaSetCondition{
		Type:               appsv1.ReplicaSetReplicaFailure,
		Status:             corev1.ConditionTrue,
		LastTransitionTime: metav1.NewTime(t.Clock.Now()),
		Reason:             failed.reason,
		Message:            failed.err.Error(),
	})
}
