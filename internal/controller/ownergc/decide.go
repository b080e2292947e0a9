package ownergc

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// standing is how things are with an owner that an object refers to.
type standing int

const (
	// standingSolid: it exists and stays.
	standingSolid standing = iota
	// standingAbsent: no object has this UID any more.
	standingAbsent
	// standingForeground: it waits to be deleted until its dependents are.
	standingForeground
	// standingOrphan: it was deleted, or is being deleted, with the wish that
	// its dependents stay.
	standingOrphan
	// standingUnknown: its kind is not served, so nothing can be said of it.
	standingUnknown
)

// reference is one owner reference of an object and what it points at.
type reference struct {
	Owner    types.UID
	Standing standing
}

// item is all that the decision about one object depends on.
type item struct {
	BeingDeleted bool
	Finalizers   []string
	References   []reference

	// Dependents refer to the object. Staying are those of them that are not
	// being deleted themselves, Blocking those whose reference says that they
	// hold up its deletion.
	Dependents, Staying, Blocking int
	// Cyclic: a dependent of the object waits in turn for its own dependents,
	// of which the object may be one.
	Cyclic bool
	// HoldsUp: a reference of the object holds up the deletion of its owner.
	HoldsUp bool
}

// verdict is what to do about one object. At most one field is set; the zero
// verdict is to do nothing.
type verdict struct {
	// Await: the object waits for dependents that have to be dealt with first.
	Await bool
	// Release takes this finalizer off the object.
	Release string
	// Drop takes the references to these owners off the object.
	Drop []types.UID
	// Unblock makes the references of the object such that they hold up no
	// owner.
	Unblock bool
	// Delete deletes the object with this policy.
	Delete metav1.DeletionPropagation
}

// decide says what the garbage collector does about one object now.
func decide(in item) verdict {
	if in.BeingDeleted {
		return decideOwner(in)
	}
	by := map[standing][]types.UID{}
	for _, r := range in.References {
		by[r.Standing] = append(by[r.Standing], r.Owner)
	}
	solid, absent, foreground, orphan := by[standingSolid], by[standingAbsent], by[standingForeground], by[standingOrphan]
	switch {
	case len(in.References) == 0 || len(by[standingUnknown]) > 0:
		return verdict{}
	case len(solid) > 0:
		return verdict{Drop: slices.Concat(orphan, absent, foreground)}
	case len(orphan) > 0:
		// What the other references mean shows once these are gone.
		return verdict{Drop: orphan}
	case len(foreground) > 0 && in.Cyclic && in.HoldsUp:
		return verdict{Unblock: true}
	case len(foreground) > 0 && in.Dependents > 0:
		return verdict{Delete: metav1.DeletePropagationForeground}
	case has(in.Finalizers, metav1.FinalizerOrphanDependents):
		return verdict{Delete: metav1.DeletePropagationOrphan}
	case has(in.Finalizers, metav1.FinalizerDeleteDependents):
		return verdict{Delete: metav1.DeletePropagationForeground}
	}
	return verdict{Delete: metav1.DeletePropagationBackground}
}

// decideOwner says when an object that waits for its dependents has waited
// long enough.
func decideOwner(in item) verdict {
	switch {
	case has(in.Finalizers, metav1.FinalizerOrphanDependents):
		if in.Staying > 0 {
			return verdict{Await: true}
		}
		return verdict{Release: metav1.FinalizerOrphanDependents}
	case has(in.Finalizers, metav1.FinalizerDeleteDependents):
		if in.Blocking > 0 {
			return verdict{Await: true}
		}
		return verdict{Release: metav1.FinalizerDeleteDependents}
	}
	return verdict{}
}

func has(finalizers []string, name string) bool {
	return slices.Contains(finalizers, name)
}
