package tables

import "k8s.io/apimachinery/pkg/runtime/schema"

// layouts has the columns of each resource.
var layouts = map[schema.GroupResource]layout{
	{Resource: "pods"}:                   pods,
	{Resource: "nodes"}:                  nodes,
	{Resource: "namespaces"}:             namespaces,
	{Resource: "events"}:                 events,
	{Resource: "configmaps"}:             configMaps,
	{Resource: "secrets"}:                secrets,
	{Resource: "serviceaccounts"}:        serviceAccounts,
	{Resource: "services"}:               services,
	{Resource: "endpoints"}:              endpoints,
	{Resource: "resourcequotas"}:         resourceQuotas,
	{Resource: "persistentvolumes"}:      persistentVolumes,
	{Resource: "persistentvolumeclaims"}: persistentVolumeClaims,
	{Resource: "podtemplates"}:           podTemplates,
	{Resource: "replicationcontrollers"}: replicationControllers,

	{Group: "apps", Resource: "daemonsets"}:          daemonSets,
	{Group: "apps", Resource: "controllerrevisions"}: controllerRevisions,
	{Group: "apps", Resource: "replicasets"}:         replicaSets,
	{Group: "apps", Resource: "deployments"}:         deployments,
	{Group: "apps", Resource: "statefulsets"}:        statefulSets,

	{Group: "scheduling.k8s.io", Resource: "priorityclasses"}:             priorityClasses,
	{Group: "policy", Resource: "poddisruptionbudgets"}:                   podDisruptionBudgets,
	{Group: "coordination.k8s.io", Resource: "leases"}:                    leases,
	{Group: "node.k8s.io", Resource: "runtimeclasses"}:                    runtimeClasses,
	{Group: "discovery.k8s.io", Resource: "endpointslices"}:               endpointSlices,
	{Group: "networking.k8s.io", Resource: "networkpolicies"}:             networkPolicies,
	{Group: "networking.k8s.io", Resource: "ipaddresses"}:                 ipAddresses,
	{Group: "storage.k8s.io", Resource: "csidrivers"}:                     csiDrivers,
	{Group: "storage.k8s.io", Resource: "storageclasses"}:                 storageClasses,
	{Group: "rbac.authorization.k8s.io", Resource: "rolebindings"}:        roleBindings,
	{Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"}: clusterRoleBindings,
}
