package validation

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DaemonSet checks a new DaemonSet.
func DaemonSet(ds *appsv1.DaemonSet) field.ErrorList {
	return namespaced(&ds.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// DaemonSetUpdate checks a changed DaemonSet.
func DaemonSetUpdate(ds, old *appsv1.DaemonSet) field.ErrorList {
	return metaUpdate(&ds.ObjectMeta, &old.ObjectMeta)
}

// DaemonSetStatusUpdate checks a changed status of a DaemonSet.
func DaemonSetStatusUpdate(ds, old *appsv1.DaemonSet) field.ErrorList {
	return metaUpdate(&ds.ObjectMeta, &old.ObjectMeta)
}

// ControllerRevision checks a new revision.
func ControllerRevision(r *appsv1.ControllerRevision) field.ErrorList {
	return namespaced(&r.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// ControllerRevisionUpdate checks a changed revision.
func ControllerRevisionUpdate(r, old *appsv1.ControllerRevision) field.ErrorList {
	return metaUpdate(&r.ObjectMeta, &old.ObjectMeta)
}

// ReplicaSet checks a new ReplicaSet.
func ReplicaSet(rs *appsv1.ReplicaSet) field.ErrorList {
	return namespaced(&rs.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// ReplicaSetUpdate checks a changed ReplicaSet.
func ReplicaSetUpdate(rs, old *appsv1.ReplicaSet) field.ErrorList {
	return metaUpdate(&rs.ObjectMeta, &old.ObjectMeta)
}

// ReplicaSetStatusUpdate checks a changed status of a ReplicaSet.
func ReplicaSetStatusUpdate(rs, old *appsv1.ReplicaSet) field.ErrorList {
	return metaUpdate(&rs.ObjectMeta, &old.ObjectMeta)
}

// ReplicationController checks a new replication controller.
func ReplicationController(rc *corev1.ReplicationController) field.ErrorList {
	return namespaced(&rc.ObjectMeta, apivalidation.NameIsDNSSubdomain)
}

// ReplicationControllerUpdate checks a changed replication controller.
func ReplicationControllerUpdate(rc, old *corev1.ReplicationController) field.ErrorList {
	return metaUpdate(&rc.ObjectMeta, &old.ObjectMeta)
}

// ReplicationControllerStatusUpdate checks a changed status of a replication
// controller.
func ReplicationControllerStatusUpdate(rc, old *corev1.ReplicationController) field.ErrorList {
	return metaUpdate(&rc.ObjectMeta, &old.ObjectMeta)
}
