package kinds

import (
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// Group versions by short names, to keep the table readable.
var (
	coreV1         = corev1.SchemeGroupVersion
	appsV1         = appsv1.SchemeGroupVersion
	coordinationV1 = coordinationv1.SchemeGroupVersion
	networkingV1   = networkingv1.SchemeGroupVersion
	nodeV1         = nodev1.SchemeGroupVersion
	policyV1       = policyv1.SchemeGroupVersion
	rbacV1         = rbacv1.SchemeGroupVersion
	schedulingV1   = schedulingv1.SchemeGroupVersion
	storageV1      = storagev1.SchemeGroupVersion
)

// names is a list of short names or categories.
type words = []string

// table lists every stored kind. Kinds with rules of their own are in the file
// of their group.
func table() []entry {
	return []entry{
		pods(),
		nodes(),
		namespaces(),
		events(),
		configMaps(),
		secrets(),
		services(),
		daemonSets(),
		controllerRevisions(),
		replicaSets(),
		replicationControllers(),

		kind[*corev1.ServiceAccount]{gv: coreV1, name: "serviceaccounts", obj: &corev1.ServiceAccount{}, list: &corev1.ServiceAccountList{},
			shortNames: words{"sa"}},
		kind[*corev1.LimitRange]{gv: coreV1, name: "limitranges", obj: &corev1.LimitRange{}, list: &corev1.LimitRangeList{},
			shortNames: words{"limits"}},
		kind[*corev1.ResourceQuota]{gv: coreV1, name: "resourcequotas", obj: &corev1.ResourceQuota{}, list: &corev1.ResourceQuotaList{},
			shortNames: words{"quota"}, hasStatus: true},
		kind[*corev1.PersistentVolume]{gv: coreV1, name: "persistentvolumes", obj: &corev1.PersistentVolume{}, list: &corev1.PersistentVolumeList{},
			shortNames: words{"pv"}, cluster: true, hasStatus: true},
		kind[*corev1.PersistentVolumeClaim]{gv: coreV1, name: "persistentvolumeclaims", obj: &corev1.PersistentVolumeClaim{}, list: &corev1.PersistentVolumeClaimList{},
			shortNames: words{"pvc"}, hasStatus: true},
		kind[*corev1.PodTemplate]{gv: coreV1, name: "podtemplates", obj: &corev1.PodTemplate{}, list: &corev1.PodTemplateList{}},

		kind[*appsv1.Deployment]{gv: appsV1, name: "deployments", obj: &appsv1.Deployment{}, list: &appsv1.DeploymentList{},
			shortNames: words{"deploy"}, categories: words{"all"}, hasStatus: true, generation: true},
		kind[*appsv1.StatefulSet]{gv: appsV1, name: "statefulsets", obj: &appsv1.StatefulSet{}, list: &appsv1.StatefulSetList{},
			shortNames: words{"sts"}, categories: words{"all"}, hasStatus: true, generation: true},

		kind[*schedulingv1.PriorityClass]{gv: schedulingV1, name: "priorityclasses", obj: &schedulingv1.PriorityClass{}, list: &schedulingv1.PriorityClassList{},
			shortNames: words{"pc"}, cluster: true},
		kind[*policyv1.PodDisruptionBudget]{gv: policyV1, name: "poddisruptionbudgets", obj: &policyv1.PodDisruptionBudget{}, list: &policyv1.PodDisruptionBudgetList{},
			shortNames: words{"pdb"}, hasStatus: true, generation: true, conditional: true},
		kind[*coordinationv1.Lease]{gv: coordinationV1, name: "leases", obj: &coordinationv1.Lease{}, list: &coordinationv1.LeaseList{},
			createOnUpdate: true, conditional: true},
		kind[*nodev1.RuntimeClass]{gv: nodeV1, name: "runtimeclasses", obj: &nodev1.RuntimeClass{}, list: &nodev1.RuntimeClassList{},
			cluster: true, conditional: true},

		// Stored, not enforced: manifests of node agents bring them along.
		kind[*rbacv1.Role]{gv: rbacV1, name: "roles", obj: &rbacv1.Role{}, list: &rbacv1.RoleList{}},
		kind[*rbacv1.RoleBinding]{gv: rbacV1, name: "rolebindings", obj: &rbacv1.RoleBinding{}, list: &rbacv1.RoleBindingList{}},
		kind[*rbacv1.ClusterRole]{gv: rbacV1, name: "clusterroles", obj: &rbacv1.ClusterRole{}, list: &rbacv1.ClusterRoleList{}, cluster: true},
		kind[*rbacv1.ClusterRoleBinding]{gv: rbacV1, name: "clusterrolebindings", obj: &rbacv1.ClusterRoleBinding{}, list: &rbacv1.ClusterRoleBindingList{}, cluster: true},
		kind[*networkingv1.NetworkPolicy]{gv: networkingV1, name: "networkpolicies", obj: &networkingv1.NetworkPolicy{}, list: &networkingv1.NetworkPolicyList{},
			shortNames: words{"netpol"}, generation: true},
		kind[*storagev1.CSIDriver]{gv: storageV1, name: "csidrivers", obj: &storagev1.CSIDriver{}, list: &storagev1.CSIDriverList{}, cluster: true},
		kind[*storagev1.StorageClass]{gv: storageV1, name: "storageclasses", obj: &storagev1.StorageClass{}, list: &storagev1.StorageClassList{},
			shortNames: words{"sc"}, cluster: true},
	}
}
