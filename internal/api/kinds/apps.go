package kinds

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/registry/rest"
	"strconv"
)

func daemonSets() entry {
	return kind[*appsv1.DaemonSet]{gv: appsV1, name: "daemonsets", obj: &appsv1.DaemonSet{}, list: &appsv1.DaemonSetList{},
		shortNames: words{"ds"}, categories: words{"all"}, hasStatus: true, generation: true}
}

func controllerRevisions() entry {
	return kind[*appsv1.ControllerRevision]{gv: appsV1, name: "controllerrevisions", obj: &appsv1.ControllerRevision{}, list: &appsv1.ControllerRevisionList{}}
}

func replicaSets() entry {
	return kind[*appsv1.ReplicaSet]{gv: appsV1, name: "replicasets", obj: &appsv1.ReplicaSet{}, list: &appsv1.ReplicaSetList{},
		shortNames: words{"rs"}, categories: words{"all"}, hasStatus: true, generation: true}
}

func replicationControllers() entry {
	return kind[*corev1.ReplicationController]{gv: coreV1, name: "replicationcontrollers", obj: &corev1.ReplicationController{}, list: &corev1.ReplicationControllerList{},
		shortNames: words{"rc"}, categories: words{"all"}, hasStatus: true, generation: true, gc: rest.OrphanDependents,
		selectable: func(r *corev1.ReplicationController) fields.Set {
			return fields.Set{"status.replicas": strconv.Itoa(int(r.Status.Replicas))}
		}}
}
