package defaults

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Register adds the defaulting function of each kind, and of its list, to the
// scheme. Kinds without a line here have nothing to default. It never fails;
// the error makes it a scheme-builder function.
func Register(scheme *runtime.Scheme) error {
	registerCore(scheme)
	registerWorkloads(scheme)

	register(scheme, EndpointSlice)
	register(scheme, func(l *discoveryv1.EndpointSliceList) { each(l.Items, EndpointSlice) })
	register(scheme, TokenRequest)
	register(scheme, PriorityClass)
	register(scheme, func(l *schedulingv1.PriorityClassList) { each(l.Items, PriorityClass) })
	register(scheme, ClusterRoleBinding)
	register(scheme, func(l *rbacv1.ClusterRoleBindingList) { each(l.Items, ClusterRoleBinding) })
	register(scheme, RoleBinding)
	register(scheme, func(l *rbacv1.RoleBindingList) { each(l.Items, RoleBinding) })
	return nil
}

func registerCore(scheme *runtime.Scheme) {
	register(scheme, ConfigMap)
	register(scheme, func(l *corev1.ConfigMapList) { each(l.Items, ConfigMap) })
	register(scheme, Endpoints)
	register(scheme, func(l *corev1.EndpointsList) { each(l.Items, Endpoints) })
	register(scheme, LimitRange)
	register(scheme, func(l *corev1.LimitRangeList) { each(l.Items, LimitRange) })
	register(scheme, Namespace)
	register(scheme, func(l *corev1.NamespaceList) { each(l.Items, Namespace) })
	register(scheme, Node)
	register(scheme, func(l *corev1.NodeList) { each(l.Items, Node) })
	register(scheme, PersistentVolume)
	register(scheme, func(l *corev1.PersistentVolumeList) { each(l.Items, PersistentVolume) })
	register(scheme, PersistentVolumeClaim)
	register(scheme, func(l *corev1.PersistentVolumeClaimList) { each(l.Items, PersistentVolumeClaim) })
	register(scheme, Pod)
	register(scheme, func(l *corev1.PodList) { each(l.Items, Pod) })
	register(scheme, PodTemplate)
	register(scheme, func(l *corev1.PodTemplateList) { each(l.Items, PodTemplate) })
	register(scheme, ResourceQuota)
	register(scheme, func(l *corev1.ResourceQuotaList) { each(l.Items, ResourceQuota) })
	register(scheme, Secret)
	register(scheme, func(l *corev1.SecretList) { each(l.Items, Secret) })
	register(scheme, Service)
	register(scheme, func(l *corev1.ServiceList) { each(l.Items, Service) })
}

func registerWorkloads(scheme *runtime.Scheme) {
	register(scheme, DaemonSet)
	register(scheme, func(l *appsv1.DaemonSetList) { each(l.Items, DaemonSet) })
	register(scheme, Deployment)
	register(scheme, func(l *appsv1.DeploymentList) { each(l.Items, Deployment) })
	register(scheme, ReplicaSet)
	register(scheme, func(l *appsv1.ReplicaSetList) { each(l.Items, ReplicaSet) })
	register(scheme, ReplicationController)
	register(scheme, func(l *corev1.ReplicationControllerList) { each(l.Items, ReplicationController) })
	register(scheme, StatefulSet)
	register(scheme, func(l *appsv1.StatefulSetList) { each(l.Items, StatefulSet) })
}

// register makes the scheme call fn for objects of fn's own type.
func register[T any, P interface {
	*T
	runtime.Object
}](scheme *runtime.Scheme, fn func(P)) {
	scheme.AddTypeDefaultingFunc(P(new(T)), func(obj any) { fn(obj.(P)) })
}

// each calls fn with a pointer to every item.
func each[T any](items []T, fn func(*T)) {
	for i := range items {
		fn(&items[i])
	}
}

// setDefault fills in a value that was left at its zero.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// setPointer fills in an optional value that was left out.
func setPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
