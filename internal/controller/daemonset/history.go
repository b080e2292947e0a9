package daemonset

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/core/revision"
	"github.com/garrison-project/garrison/internal/view"
)

// keepHistory brings the history in order but for pruning, which waits until
// the pods are seen to. It is done if the current revision is known for sure;
// if not, the turn ends.
func (t *turn) keepHistory(ctx context.Context, pods []*corev1.Pod) (revision.Decision, bool, error) {
	revisions, claimed, err := t.claimRevisions(ctx)
	if err != nil || claimed {
		return revision.Decision{}, false, err
	}
	now, err := t.templateNow()
	if err != nil {
		return revision.Decision{}, false, err
	}
	d := revision.Plan(view.RevisionInput(view.History{
		DaemonSet: t.ds, Data: now.data, Hash: now.hash, Revisions: revisions, Pods: pods,
	}))
	for _, l := range d.Label {
		if err := t.labelRevision(ctx, l); err != nil {
			return d, false, err
		}
	}
	if d.Create != nil {
		created, err := t.createRevision(ctx, *d.Create, now.data)
		return d, created, err
	}
	if d.Raise != 0 {
		if err := t.raiseRevision(ctx, revisions, d); err != nil {
			return d, false, err
		}
	}
	if len(d.Duplicates) > 0 {
		return d, false, t.mergeDuplicates(ctx, pods, d)
	}
	return d, true, nil
}

func (t *turn) labelRevision(ctx context.Context, l revision.Labelling) error {
	patch, err := hashLabelPatch(l.Hash)
	if err != nil {
		return err
	}
	r, err := t.revisionClient().Patch(ctx, l.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("label revision %s: %w", l.Name, err)
	}
	t.expectRevision(r)
	return nil
}

// createRevision creates the current revision. It reports false, and ends the
// turn, if the name turns out to stand for another template.
func (t *turn) createRevision(ctx context.Context, c revision.Creation, data []byte) (bool, error) {
	client := t.revisionClient()
	r, err := client.Create(ctx, view.NewRevision(t.ds, c, data), metav1.CreateOptions{})
	if err == nil {
		t.expectRevision(r)
		return true, nil
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return false, nil // nothing is created here any more
	}
	if !apierrors.IsAlreadyExists(err) {
		return false, fmt.Errorf("create revision %s: %w", c.Name, err)
	}
	there, err := client.Get(ctx, c.Name, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("get revision %s: %w", c.Name, err)
	}
	if bytes.Equal(there.Data.Raw, data) && view.Controls(t.ds, there) {
		t.expectRevision(there)
		return true, nil // an earlier turn created it
	}
	return false, t.countCollision(ctx, c.Name)
}

// countCollision raises collisionCount, so that the hash changes, unless the
// count that the hash was made from was out of date.
func (t *turn) countCollision(ctx context.Context, name string) error {
	live, err := t.client.AppsV1().DaemonSets(t.ds.Namespace).Get(ctx, t.ds.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get daemon set %s: %w", t.key(), err)
	}
	before, now := t.ds.Status.CollisionCount, live.Status.CollisionCount
	if live.UID != t.ds.UID || (before == nil) != (now == nil) || before != nil && *before != *now {
		return fmt.Errorf("revision %s collides, but the collision count of daemon set %s was out of date", name, t.key())
	}
	count := int32(1)
	if now != nil {
		count += *now
	}
	live.Status.CollisionCount = &count
	written, err := t.writer.UpdateDaemonSetStatus(ctx, live)
	if err != nil {
		return fmt.Errorf("count collision of revision %s: %w", name, err)
	}
	klog.FromContext(ctx).V(2).Info("Revision name collides, counted", "daemonset", t.key(), "revision", name, "collisionCount", count)
	t.expectStatus(written)
	return nil
}

// raiseRevision gives the current revision the highest number.
func (t *turn) raiseRevision(ctx context.Context, revisions []*appsv1.ControllerRevision, d revision.Decision) error {
	i := slices.IndexFunc(revisions, func(r *appsv1.ControllerRevision) bool { return r.Name == d.Current })
	raised := revisions[i].DeepCopy()
	raised.Revision = d.Raise
	r, err := t.revisionClient().Update(ctx, raised, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("raise revision %s: %w", d.Current, err)
	}
	t.expectRevision(r)
	return nil
}

// mergeDuplicates moves the pods of duplicate revisions to the current one, and
// then deletes the duplicates.
func (t *turn) mergeDuplicates(ctx context.Context, pods []*corev1.Pod, d revision.Decision) error {
	patch, err := hashLabelPatch(d.Hash)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		hash := pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey]
		if hash == d.Hash || !slices.ContainsFunc(d.Duplicates, func(l revision.Labelling) bool { return l.Hash == hash }) {
			continue
		}
		_, err := t.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("label pod %s: %w", pod.Name, err)
		}
	}
	for _, duplicate := range d.Duplicates {
		if err := t.deleteRevision(ctx, duplicate.Name); err != nil {
			return err
		}
	}
	return nil
}

// prune deletes revisions beyond the limit.
func (t *turn) prune(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := t.deleteRevision(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) deleteRevision(ctx context.Context, name string) error {
	key := t.ds.Namespace + "/" + name
	object, exists, err := t.revisions.GetByKey(key)
	if err != nil || !exists {
		return err
	}
	uid := object.(*appsv1.ControllerRevision).UID
	err = t.revisionClient().Delete(ctx, name, *metav1.NewPreconditionDeleteOptions(string(uid)))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete revision %s: %w", name, err)
	}
	t.memory.ledger.expect(expectation{
		what: "deletion of revision " + name,
		shown: func() bool {
			object, exists, err := t.revisions.GetByKey(key)
			return err == nil && (!exists || object.(*appsv1.ControllerRevision).UID != uid || object.(*appsv1.ControllerRevision).DeletionTimestamp != nil)
		},
		void: func(ctx context.Context) (bool, error) {
			_, err := t.revisionClient().Get(ctx, name, metav1.GetOptions{})
			return err == nil, ignoreNotFound(err) // it is there: nobody deletes it
		},
	})
	return nil
}

// expectRevision waits for the caches to show a revision as it was written.
func (t *turn) expectRevision(written *appsv1.ControllerRevision) {
	t.memory.ledger.expect(expectation{
		what: "revision " + written.Name,
		shown: func() bool {
			object, exists, err := t.revisions.GetByKey(written.Namespace + "/" + written.Name)
			return err == nil && exists && atLeast(object.(*appsv1.ControllerRevision).ResourceVersion, written.ResourceVersion) ||
				atLeast(t.revisions.LastStoreSyncResourceVersion(), written.ResourceVersion)
		},
		void: func(ctx context.Context) (bool, error) {
			_, err := t.revisionClient().Get(ctx, written.Name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), ignoreNotFound(err)
		},
	})
}

func hashLabelPatch(hash string) ([]byte, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"labels": map[string]string{appsv1.DefaultDaemonSetUniqueLabelKey: hash},
	}})
	if err != nil {
		return nil, fmt.Errorf("encode label %s: %w", hash, err)
	}
	return patch, nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (t *turn) revisionClient() appsclient.ControllerRevisionInterface {
	return t.client.AppsV1().ControllerRevisions(t.ds.Namespace)
}
