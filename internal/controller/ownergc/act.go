package ownergc

import (
	"context"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
)

// pods go through the writer.
var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// act carries out a verdict. Every write names the UID it is meant for.
func (c *Controller) act(ctx context.Context, it dependent, v verdict) error {
	switch {
	case v.Release != "":
		return c.release(ctx, it, v.Release)
	case len(v.Drop) > 0:
		return c.patchReferences(ctx, it, dropped(v.Drop))
	case v.Unblock:
		return c.patchReferences(ctx, it, unblocked(it.object))
	case v.Delete != "":
		return c.delete(ctx, it, v.Delete)
	}
	return nil
}

// delete deletes exactly the object that was judged: not one that has changed
// since, and might have found an owner.
func (c *Controller) delete(ctx context.Context, it dependent, policy metav1.DeletionPropagation) error {
	uid, version := it.object.GetUID(), it.object.GetResourceVersion()
	options := metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &uid, ResourceVersion: &version},
		PropagationPolicy: &policy,
	}
	if it.kind.gvr == pods {
		return c.Writer.DeletePod(ctx, keyOf(it.kind, it.object).NamespacedName, options)
	}
	return c.client(it).Delete(ctx, it.object.GetName(), options)
}

// release takes a finalizer off an owner. Those that were to be orphaned are
// remembered first, should a dependent appear that the caches had not shown.
func (c *Controller) release(ctx context.Context, it dependent, finalizer string) error {
	if finalizer == metav1.FinalizerOrphanDependents {
		c.gone.Add(it.object.GetUID(), standingOrphan)
	}
	kept := []string{}
	for _, name := range it.object.GetFinalizers() {
		if name != finalizer {
			kept = append(kept, name)
		}
	}
	return c.patch(ctx, it, types.MergePatchType, map[string]any{
		"uid": it.object.GetUID(), "resourceVersion": it.object.GetResourceVersion(), "finalizers": kept,
	})
}

// patchReferences changes single owner references, leaving others that may
// have been added meanwhile.
func (c *Controller) patchReferences(ctx context.Context, it dependent, changes []map[string]any) error {
	return c.patch(ctx, it, types.StrategicMergePatchType, map[string]any{
		"uid": it.object.GetUID(), "ownerReferences": changes,
	})
}

// dropped is the strategic patch that removes the references to owners.
func dropped(owners []types.UID) []map[string]any {
	var changes []map[string]any
	for _, uid := range owners {
		changes = append(changes, map[string]any{"$patch": "delete", "uid": uid})
	}
	return changes
}

// unblocked is the strategic patch after which an object holds up no owner.
func unblocked(object metav1.Object) []map[string]any {
	var changes []map[string]any
	for _, owner := range object.GetOwnerReferences() {
		if blocks(object, owner.UID) {
			changes = append(changes, map[string]any{"uid": owner.UID, "blockOwnerDeletion": false})
		}
	}
	return changes
}

func (c *Controller) patch(ctx context.Context, it dependent, kind types.PatchType, metadata map[string]any) error {
	data, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	_, err = c.client(it).Patch(ctx, it.object.GetName(), kind, data, metav1.PatchOptions{})
	return err
}

func (c *Controller) client(it dependent) metadata.ResourceInterface {
	return c.Metadata.Resource(it.kind.gvr).Namespace(it.object.GetNamespace())
}
