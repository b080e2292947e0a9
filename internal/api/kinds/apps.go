package kinds

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/garrison-project/garrison/internal/api/validation"
)

func controllerRevisions() entry {
	return kind[*appsv1.ControllerRevision]{gv: appsV1, name: "controllerrevisions", obj: &appsv1.ControllerRevision{}, list: &appsv1.ControllerRevisionList{},
		rules: rules[*appsv1.ControllerRevision]{
			validate:       validation.ControllerRevision,
			validateUpdate: validation.ControllerRevisionUpdate,
		},
	}
}

func replicaSets() entry {
	return kind[*appsv1.ReplicaSet]{gv: appsV1, name: "replicasets", obj: &appsv1.ReplicaSet{}, list: &appsv1.ReplicaSetList{},
		shortNames: words{"rs"}, categories: words{"all"}, hasStatus: true, generation: true,
		rules: rules[*appsv1.ReplicaSet]{
			validate:       validation.ReplicaSet,
			validateUpdate: validation.ReplicaSetUpdate,
			validateStatus: validation.ReplicaSetStatusUpdate,
		},
	}
}

// replicationControllers leave their pods behind unless a delete says
// otherwise, as clients of v1 came to expect.
func replicationControllers() entry {
	return kind[*corev1.ReplicationController]{gv: coreV1, name: "replicationcontrollers", obj: &corev1.ReplicationController{}, list: &corev1.ReplicationControllerList{},
		shortNames: words{"rc"}, categories: words{"all"}, hasStatus: true, generation: true, gc: rest.OrphanDependents,
		selectable: func(r *corev1.ReplicationController) fields.Set {
			return fields.Set{"status.replicas": strconv.Itoa(int(r.Status.Replicas))}
		},
		rules: rules[*corev1.ReplicationController]{
			validate:       validation.ReplicationController,
			validateUpdate: validation.ReplicationControllerUpdate,
			validateStatus: validation.ReplicationControllerStatusUpdate,
		},
	}
}

// Deployments and stateful sets are stored, not run: nothing here controls
// them.

func deployments() entry {
	return kind[*appsv1.Deployment]{gv: appsV1, name: "deployments", obj: &appsv1.Deployment{}, list: &appsv1.DeploymentList{},
		shortNames: words{"deploy"}, categories: words{"all"}, hasStatus: true, generation: true,
		rules: rules[*appsv1.Deployment]{
			prepareUpdate: func(d, old *appsv1.Deployment) {
				// Annotations are part of what a deployment hands down.
				if !apiequality.Semantic.DeepEqual(d.Annotations, old.Annotations) {
					d.Generation = old.Generation + 1
				}
			},
		},
	}
}

func statefulSets() entry {
	return kind[*appsv1.StatefulSet]{gv: appsV1, name: "statefulsets", obj: &appsv1.StatefulSet{}, list: &appsv1.StatefulSetList{},
		shortNames: words{"sts"}, categories: words{"all"}, hasStatus: true, generation: true}
}
