package agent

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// Annotations of static pods and of their mirrors; the API has a constant only for
// corev1.MirrorPodAnnotationKey.
const (
	// SourceAnnotation says where a pod comes from: file, for static pods.
	SourceAnnotation = "kubernetes.io/config.source"
	// HashAnnotation changes with the contents of a static pod.
	HashAnnotation = "kubernetes.io/config.hash"
)

// isMirror tells whether an object of the API only shows a static pod.
func isMirror(object *corev1.Pod) bool {
	_, mirror := object.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}

// isStatic tells whether the machine itself asks for a pod.
func isStatic(object *corev1.Pod) bool {
	from, set := object.Annotations[SourceAnnotation]
	return set && from != "api"
}

// staticChanged takes in the pods that the machine asks for.
func (a *Agent) staticChanged() {
	a.mu.Lock()
	complete := a.complete
	a.mu.Unlock()
	if a.Static == nil || !complete {
		return
	}
	wanted, read := a.Static.Pods()
	if !read {
		return
	}
	asked := map[types.UID]bool{}
	for _, object := range wanted {
		asked[object.UID] = true
		if a.roster.put(object, fromFile) != nil {
			a.steps.Add(object.UID)
		}
		a.mirrors.Add(types.NamespacedName{Namespace: object.Namespace, Name: object.Name})
	}
	for _, p := range a.roster.list() {
		if p.source == fromFile && !asked[p.uid] && !p.isGone() {
			a.roster.leave(p.uid, nil)
			a.steps.Add(p.uid)
		}
	}
	for _, object := range a.Pods.GetStore().List() {
		if mirror, ok := object.(*corev1.Pod); ok && isMirror(mirror) {
			a.mirrors.Add(types.NamespacedName{Namespace: mirror.Namespace, Name: mirror.Name})
		}
	}
}

// mirrorChanged takes in that a mirror pod came, changed or went.
func (a *Agent) mirrorChanged(mirror *corev1.Pod) {
	name := types.NamespacedName{Namespace: mirror.Namespace, Name: mirror.Name}
	a.mirrors.Add(name)
	for _, p := range a.roster.named(name, fromFile) {
		a.reports.AddAt(p.uid, a.Clock.Now().Add(gathering))
	}
}

// mirror is the mirror pod of a name, as the cache has it; nil if there is none.
func (a *Agent) mirror(name types.NamespacedName) *corev1.Pod {
	if object := a.stored(name); object != nil && isMirror(object) {
		return object
	}
	return nil
}

// stored is the API's pod of a name, as the cache has it; nil if there is none.
func (a *Agent) stored(name types.NamespacedName) *corev1.Pod {
	object, exists, err := a.Pods.GetStore().GetByKey(name.String())
	if err != nil || !exists {
		return nil
	}
	stored, _ := object.(*corev1.Pod)
	return stored
}

// StepMirror sees to it that a static pod has a mirror in the API, and that nothing
// else has.
func (a *Agent) StepMirror(ctx context.Context, name types.NamespacedName) (time.Time, error) {
	var shown *pod
	for _, p := range a.roster.named(name, fromFile) {
		if shown == nil || p.isGone() {
			shown = p // one that ends is shown until it has ended
		}
	}
	stored := a.stored(name)
	switch {
	case stored != nil && !isMirror(stored):
		if shown != nil {
			klog.FromContext(ctx).Info("A pod of the API has the name of a static pod, which cannot be shown", "pod", name)
		}
	case stored != nil && shown != nil && stored.DeletionTimestamp == nil &&
		stored.Annotations[corev1.MirrorPodAnnotationKey] == string(shown.uid):
	case stored != nil:
		return a.later(a.deleteObject(ctx, stored))
	case shown != nil && !shown.isGone():
		return a.later(a.createMirror(ctx, shown.current()))
	}
	return time.Time{}, nil
}

// createMirror shows a static pod in the API. Its owner is the node, with which it
// goes.
func (a *Agent) createMirror(ctx context.Context, static *corev1.Pod) error {
	node := a.Node()
	if node == nil {
		return nil // the mirrors have gone with it
	}
	mirror := static.DeepCopy()
	mirror.UID = ""
	mirror.Annotations = maps.Clone(static.Annotations)
	mirror.Annotations[corev1.MirrorPodAnnotationKey] = string(static.UID)
	mirror.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: ptr.To(true),
	}}
	_, err := a.Writer.CreatePod(ctx, mirror)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create mirror of static pod %s: %w", klog.KObj(static), err)
	}
	return nil
}
