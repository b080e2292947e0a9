package validation

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ReplicaSet checks a new ReplicaSet.
func ReplicaSet(rs *appsv1.ReplicaSet) field.ErrorList {
	f := faults{list: namespaced(&rs.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	f.replicaSetSpec(&rs.Spec, specPath)
	return f.list
}

// ReplicaSetUpdate checks a changed ReplicaSet, whose selector must stay.
func ReplicaSetUpdate(rs, old *appsv1.ReplicaSet) field.ErrorList {
	f := faults{list: metaUpdate(&rs.ObjectMeta, &old.ObjectMeta)}
	f.replicaSetSpec(&rs.Spec, specPath)
	f.add(unchanged(rs.Spec.Selector, old.Spec.Selector, specPath.Child("selector"))...)
	return f.list
}

// ReplicaSetStatusUpdate checks a changed status of a ReplicaSet.
func ReplicaSetStatusUpdate(rs, old *appsv1.ReplicaSet) field.ErrorList {
	f := faults{list: metaUpdate(&rs.ObjectMeta, &old.ObjectMeta)}
	s := rs.Status
	f.replicaCounts(replicaCounts{
		all: s.Replicas, labeled: s.FullyLabeledReplicas, ready: s.ReadyReplicas, available: s.AvailableReplicas,
		generation: s.ObservedGeneration, terminating: s.TerminatingReplicas,
	}, statusPath)
	return f.list
}

func (f *faults) replicaSetSpec(spec *appsv1.ReplicaSetSpec, at *field.Path) {
	f.nonNegative(at.Child("replicas"), int64(valueOf(spec.Replicas)))
	f.nonNegative(at.Child("minReadySeconds"), int64(spec.MinReadySeconds))
	if spec.Selector == nil {
		f.required(at.Child("selector"), "")
	}
	f.add(selectorAt(spec.Selector, at.Child("selector"))...)
	if isEmpty(spec.Selector) {
		// The text names the kind whose rules these were first.
		f.invalid(at.Child("selector"), spec.Selector, "empty selector is invalid for deployment")
	}
	if _, err := metav1.LabelSelectorAsSelector(spec.Selector); err != nil {
		f.invalid(at.Child("selector"), spec.Selector, "invalid label selector")
		return
	}
	f.selects(spec.Selector, &spec.Template, at.Child("template"))
	f.add(podTemplate(&spec.Template, at.Child("template"))...)
	f.alwaysRunning(&spec.Template, "ReplicaSet", at.Child("template"))
}

// ReplicationController checks a new replication controller.
func ReplicationController(rc *corev1.ReplicationController) field.ErrorList {
	f := faults{list: namespaced(&rc.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	f.replicationControllerSpec(&rc.Spec, specPath)
	return f.list
}

// ReplicationControllerUpdate checks a changed replication controller.
func ReplicationControllerUpdate(rc, old *corev1.ReplicationController) field.ErrorList {
	f := faults{list: metaUpdate(&rc.ObjectMeta, &old.ObjectMeta)}
	f.replicationControllerSpec(&rc.Spec, specPath)
	return f.list
}

// ReplicationControllerStatusUpdate checks a changed status of a replication
// controller.
func ReplicationControllerStatusUpdate(rc, old *corev1.ReplicationController) field.ErrorList {
	f := faults{list: metaUpdate(&rc.ObjectMeta, &old.ObjectMeta)}
	s := rc.Status
	f.replicaCounts(replicaCounts{
		all: s.Replicas, labeled: s.FullyLabeledReplicas, ready: s.ReadyReplicas, available: s.AvailableReplicas,
		generation: s.ObservedGeneration,
	}, statusPath)
	return f.list
}

func (f *faults) replicationControllerSpec(spec *corev1.ReplicationControllerSpec, at *field.Path) {
	f.nonNegative(at.Child("minReadySeconds"), int64(spec.MinReadySeconds))
	if len(spec.Selector) == 0 {
		f.required(at.Child("selector"), "")
	}
	if spec.Replicas == nil {
		f.required(at.Child("replicas"), "")
	} else {
		f.nonNegative(at.Child("replicas"), int64(*spec.Replicas))
	}
	if spec.Template == nil {
		f.required(at.Child("template"), "")
		return
	}
	if !labels.SelectorFromSet(spec.Selector).Matches(labels.Set(spec.Template.Labels)) {
		f.unselected(spec.Template, at.Child("template"))
	}
	f.add(podTemplate(spec.Template, at.Child("template"))...)
	f.alwaysRunning(spec.Template, "ReplicationController", at.Child("template"))
}

// replicaCounts are the numbers in the status of a workload with replicas.
type replicaCounts struct {
	all, labeled, ready, available int32
	generation                     int64
	terminating                    *int32
}

func (f *faults) replicaCounts(c replicaCounts, at *field.Path) {
	f.nonNegative(at.Child("replicas"), int64(c.all))
	f.nonNegative(at.Child("fullyLabeledReplicas"), int64(c.labeled))
	f.nonNegative(at.Child("readyReplicas"), int64(c.ready))
	f.nonNegative(at.Child("availableReplicas"), int64(c.available))
	f.nonNegative(at.Child("observedGeneration"), c.generation)
	if c.terminating != nil {
		f.nonNegative(at.Child("terminatingReplicas"), int64(*c.terminating))
	}
	const text = "cannot be greater than status.replicas"
	if c.labeled > c.all {
		f.invalid(at.Child("fullyLabeledReplicas"), c.labeled, text)
	}
	if c.ready > c.all {
		f.invalid(at.Child("readyReplicas"), c.ready, text)
	}
	if c.available > c.all {
		f.invalid(at.Child("availableReplicas"), c.available, text)
	}
	if c.available > c.ready {
		f.invalid(at.Child("availableReplicas"), c.available, "cannot be greater than readyReplicas")
	}
}
