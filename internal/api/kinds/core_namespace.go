package kinds

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/garrison-project/garrison/internal/api/validation"
)

var namespacesResource = coreV1.WithResource("namespaces").GroupResource()

func namespaces() entry {
	return kind[*corev1.Namespace]{gv: coreV1, name: "namespaces", obj: &corev1.Namespace{}, list: &corev1.NamespaceList{},
		shortNames: words{"ns"}, cluster: true, hasStatus: true, returnsDeleted: true,
		selectable: func(n *corev1.Namespace) fields.Set {
			return fields.Set{"status.phase": string(n.Status.Phase), "name": n.Name}
		},
		rules: rules[*corev1.Namespace]{
			prepareCreate:  prepareNamespace,
			prepareUpdate:  func(n, old *corev1.Namespace) { n.Spec.Finalizers = old.Spec.Finalizers },
			validate:       validation.Namespace,
			validateUpdate: validation.NamespaceUpdate,
			validateStatus: validation.NamespaceStatusUpdate,
		},
		parts: []part[*corev1.Namespace]{{
			name:     "finalize",
			prepare:  func(n, old *corev1.Namespace) { n.Status = old.Status },
			validate: validation.NamespaceFinalizeUpdate,
			owned:    fieldpath.NewExcludeSetFilter(fieldpath.NewSet(fieldpath.MakePathOrDie("status"))),
			putOnly:  true,
		}},
		adjust: func(s *genericregistry.Store) { s.ShouldDeleteDuringUpdate = namespaceEmptied },
		serve: func(r *REST) rest.Storage {
			return &namespaceREST{namespaceStorage: r, store: r.Store}
		},
	}
}

// prepareNamespace starts a namespace as active, to be emptied before it goes.
func prepareNamespace(n *corev1.Namespace) {
	n.Status.Phase = corev1.NamespaceActive
	if !slices.Contains(n.Spec.Finalizers, corev1.FinalizerKubernetes) {
		n.Spec.Finalizers = append(n.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

// namespaceEmptied lets the update that removes the last finalizer remove the
// namespace.
func namespaceEmptied(ctx context.Context, key string, obj, existing runtime.Object) bool {
	return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0 && genericregistry.ShouldDeleteDuringUpdate(ctx, key, obj, existing)
}

// namespaceStorage is what namespaces have in common with other kinds. They
// cannot be deleted as a collection.
type namespaceStorage interface {
	rest.Storage
	rest.Scoper
	rest.SingularNameProvider
	rest.ShortNamesProvider
	rest.Getter
	rest.Lister
	rest.CreaterUpdater
	rest.Watcher
	rest.ResetFieldsStrategy
	rest.StorageVersionProvider
}

// namespaceREST deletes namespaces in two steps: the first delete makes one
// Terminating, and it goes when all finalizers of its spec have been removed.
type namespaceREST struct {
	namespaceStorage
	store *genericregistry.Store
}

var (
	_ rest.GracefulDeleter = &namespaceREST{}
	_ rest.Patcher         = &namespaceREST{}
)

func (r *namespaceREST) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, o *metav1.DeleteOptions) (runtime.Object, bool, error) {
	obj, err := r.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	ns := obj.(*corev1.Namespace)
	options, err := namespaceDeleteOptions(ns, o)
	if err != nil {
		return nil, false, err
	}
	if ns.DeletionTimestamp.IsZero() {
		out, err := r.terminate(ctx, name, validate, options)
		return out, false, err
	}
	if len(ns.Spec.Finalizers) > 0 {
		return ns, false, nil
	}
	return r.store.Delete(ctx, name, validate, options)
}

// namespaceDeleteOptions ties a delete to this namespace, so that it cannot
// hit one of the same name that came later.
func namespaceDeleteOptions(ns *corev1.Namespace, o *metav1.DeleteOptions) (*metav1.DeleteOptions, error) {
	if o == nil {
		o = metav1.NewDeleteOptions(0)
	}
	o = o.DeepCopy()
	if o.Preconditions == nil {
		o.Preconditions = &metav1.Preconditions{}
	}
	if err := meets(ns, o.Preconditions); err != nil {
		return nil, apierrors.NewConflict(namespacesResource, ns.Name, err)
	}
	o.Preconditions.UID = &ns.UID
	return o, nil
}

// terminate marks the namespace as going, which starts its emptying.
func (r *namespaceREST) terminate(ctx context.Context, name string, validate rest.ValidateObjectFunc, o *metav1.DeleteOptions) (runtime.Object, error) {
	key, err := r.store.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	update := storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		ns := obj.(*corev1.Namespace)
		if err := validate(ctx, ns); err != nil {
			return nil, err
		}
		if ns.DeletionTimestamp.IsZero() {
			now := metav1.Now()
			ns.DeletionTimestamp = &now
		}
		ns.Status.Phase = corev1.NamespaceTerminating
		ns.Finalizers = namespaceFinalizers(ns.Finalizers, o)
		return ns, nil
	})
	pre := storage.Preconditions{UID: o.Preconditions.UID, ResourceVersion: o.Preconditions.ResourceVersion}
	out := r.store.NewFunc()
	err = r.store.Storage.GuaranteedUpdate(ctx, key, out, false, &pre, update, dryrun.IsDryRun(o.DryRun), nil)
	if err == nil {
		return out, nil
	}
	err = storeerr.InterpretGetError(err, namespacesResource, name)
	err = storeerr.InterpretUpdateError(err, namespacesResource, name)
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		err = apierrors.NewInternalError(err)
	}
	return nil, err
}

// namespaceFinalizers removes the finalizer by which dependents would be
// orphaned, if the delete says that they go.
func namespaceFinalizers(finalizers []string, o *metav1.DeleteOptions) []string {
	//lint:ignore SA1019 older clients still say it this way
	if o.OrphanDependents == nil || *o.OrphanDependents {
		return finalizers
	}
	return slices.DeleteFunc(finalizers, func(f string) bool { return f == metav1.FinalizerOrphanDependents })
}
