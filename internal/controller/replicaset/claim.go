package replicaset

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/cacheindex"
)

// claim returns the pods that the ReplicaSet controls from now on: it adopts
// orphans that its selector matches and releases pods that it matches no more.
func (t *turn) claim(ctx context.Context) ([]*corev1.Pod, error) {
	owned, err := cacheindex.Dependents(t.pods, t.rs.UID)
	if err != nil {
		return nil, fmt.Errorf("replica set %s: %w", t.key(), err)
	}
	var pods []*corev1.Pod
	for _, object := range owned {
		pod := object.(*corev1.Pod)
		switch {
		case !metav1.IsControlledBy(pod, t.rs):
		case t.selector.Matches(labels.Set(pod.Labels)):
			pods = append(pods, pod)
		case t.rs.DeletionTimestamp == nil && pod.DeletionTimestamp == nil:
			if err := t.release(ctx, pod); err != nil {
				return nil, err
			}
		}
	}
	if t.rs.DeletionTimestamp != nil {
		return pods, nil // what goes adopts nothing
	}
	adopted, err := t.adopt(ctx)
	return append(pods, adopted...), err
}

// adopt makes the ReplicaSet the controller of the orphans that it matches, once
// the API has confirmed that it exists still: what a deletion orphaned must stay
// so.
func (t *turn) adopt(ctx context.Context) ([]*corev1.Pod, error) {
	orphans, err := cacheindex.Orphans(t.pods, t.rs.Namespace)
	if err != nil {
		return nil, fmt.Errorf("replica set %s: %w", t.key(), err)
	}
	var adopted []*corev1.Pod
	for _, object := range orphans {
		pod := object.(*corev1.Pod)
		if pod.DeletionTimestamp != nil || !t.selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if len(adopted) == 0 {
			if err := t.confirm(ctx); err != nil {
				return nil, err
			}
		}
		now, err := t.patch(ctx, pod, metav1.NewControllerRef(t.rs, appsv1.SchemeGroupVersion.WithKind("ReplicaSet")))
		if err != nil {
			return nil, fmt.Errorf("adopt pod %s: %w", keyOf(pod), err)
		}
		adopted = append(adopted, now)
	}
	return adopted, nil
}

// confirm asks the API whether the ReplicaSet exists and stays.
func (t *turn) confirm(ctx context.Context) error {
	live, err := t.Client.AppsV1().ReplicaSets(t.rs.Namespace).Get(ctx, t.rs.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("recheck replica set %s: %w", t.key(), err)
	}
	if live.UID != t.rs.UID || live.DeletionTimestamp != nil {
		return fmt.Errorf("replica set %s is gone or going: it adopts nothing", t.key())
	}
	return nil
}

// release ends the ownership of a pod that the selector matches no more.
func (t *turn) release(ctx context.Context, pod *corev1.Pod) error {
	_, err := t.patch(ctx, pod, map[string]any{"$patch": "delete", "uid": t.rs.UID})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) { // gone, or another pod by now
		return fmt.Errorf("release pod %s: %w", keyOf(pod), err)
	}
	return nil
}

// patch changes one owner reference of exactly this pod.
func (t *turn) patch(ctx context.Context, pod *corev1.Pod, reference any) (*corev1.Pod, error) {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID, "ownerReferences": []any{reference}}})
	if err != nil {
		return nil, err
	}
	return t.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{})
}
