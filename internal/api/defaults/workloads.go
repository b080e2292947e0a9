package defaults

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// revisionHistoryLimit is how many old revisions a workload keeps.
const revisionHistoryLimit = int32(10)

// DaemonSet completes a DaemonSet. OnDelete keeps rollingUpdate as it came.
func DaemonSet(ds *appsv1.DaemonSet) {
	strategy := &ds.Spec.UpdateStrategy
	setDefault(&strategy.Type, appsv1.RollingUpdateDaemonSetStrategyType)
	if strategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		setPointer(&strategy.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
		setPointer(&strategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
		setPointer(&strategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	setPointer(&ds.Spec.RevisionHistoryLimit, revisionHistoryLimit)
	PodTemplateSpec(&ds.Spec.Template)
}

// Deployment completes a Deployment.
func Deployment(d *appsv1.Deployment) {
	setPointer(&d.Spec.Replicas, 1)
	strategy := &d.Spec.Strategy
	setDefault(&strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		setPointer(&strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		setPointer(&strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		setPointer(&strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	setPointer(&d.Spec.RevisionHistoryLimit, revisionHistoryLimit)
	setPointer(&d.Spec.ProgressDeadlineSeconds, 600)
	PodTemplateSpec(&d.Spec.Template)
}

// ReplicaSet completes a ReplicaSet.
func ReplicaSet(rs *appsv1.ReplicaSet) {
	setPointer(&rs.Spec.Replicas, 1)
	PodTemplateSpec(&rs.Spec.Template)
}

// ReplicationController completes a replication controller, which takes its
// selector and its labels from the template if it has none.
func ReplicationController(rc *corev1.ReplicationController) {
	setPointer(&rc.Spec.Replicas, 1)
	if rc.Spec.Template == nil {
		return
	}
	if labels := rc.Spec.Template.Labels; labels != nil {
		if len(rc.Spec.Selector) == 0 {
			rc.Spec.Selector = copied(labels)
		}
		if len(rc.Labels) == 0 {
			rc.Labels = copied(labels)
		}
	}
	PodTemplateSpec(rc.Spec.Template)
}

// StatefulSet completes a StatefulSet.
func StatefulSet(set *appsv1.StatefulSet) {
	setDefault(&set.Spec.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
	strategy := &set.Spec.UpdateStrategy
	if strategy.Type == "" {
		strategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
		setPointer(&strategy.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
	}
	if strategy.Type == appsv1.RollingUpdateStatefulSetStrategyType && strategy.RollingUpdate != nil {
		setPointer(&strategy.RollingUpdate.Partition, 0)
	}
	setPointer(&set.Spec.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
	retention := set.Spec.PersistentVolumeClaimRetentionPolicy
	setDefault(&retention.WhenDeleted, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	setDefault(&retention.WhenScaled, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	setPointer(&set.Spec.Replicas, 1)
	setPointer(&set.Spec.RevisionHistoryLimit, revisionHistoryLimit)
	PodTemplateSpec(&set.Spec.Template)
	each(set.Spec.VolumeClaimTemplates, PersistentVolumeClaim)
}

func copied(labels map[string]string) map[string]string {
	c := make(map[string]string, len(labels))
	for k, v := range labels {
		c[k] = v
	}
	return c
}
