package kinds

import (
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
)

// Group versions by short names, to keep the table readable.
var (
	coreV1         = corev1.SchemeGroupVersion
	appsV1         = appsv1.SchemeGroupVersion
	coordinationV1 = coordinationv1.SchemeGroupVersion
	discoveryV1    = discoveryv1.SchemeGroupVersion
	networkingV1   = networkingv1.SchemeGroupVersion
	nodeV1         = nodev1.SchemeGroupVersion
	policyV1       = policyv1.SchemeGroupVersion
	rbacV1         = rbacv1.SchemeGroupVersion
	schedulingV1   = schedulingv1.SchemeGroupVersion
	storageV1      = storagev1.SchemeGroupVersion
)

// words is a list of short names or categories.
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
		serviceAccounts(),
		services(),
		endpoints(),
		endpointSlices(),
		limitRanges(),
		resourceQuotas(),
		persistentVolumes(),
		persistentVolumeClaims(),
		replicationControllers(),
		podTemplates(),

		daemonSets(),
		controllerRevisions(),
		replicaSets(),
		deployments(),
		statefulSets(),

		priorityClasses(),
		podDisruptionBudgets(),
		leases(),
		runtimeClasses(),

		roles(),
		roleBindings(),
		clusterRoles(),
		clusterRoleBindings(),

		// Stored, not enforced: the manifests of node agents bring them along.
		kind[*networkingv1.NetworkPolicy]{gv: networkingV1, name: "networkpolicies", obj: &networkingv1.NetworkPolicy{}, list: &networkingv1.NetworkPolicyList{},
			shortNames: words{"netpol"}, generation: true},
		kind[*networkingv1.IPAddress]{gv: networkingV1, name: "ipaddresses", obj: &networkingv1.IPAddress{}, list: &networkingv1.IPAddressList{},
			shortNames: words{"ip"}, cluster: true},
		kind[*storagev1.CSIDriver]{gv: storageV1, name: "csidrivers", obj: &storagev1.CSIDriver{}, list: &storagev1.CSIDriverList{},
			cluster: true, generation: true, conditional: true},
		kind[*storagev1.StorageClass]{gv: storageV1, name: "storageclasses", obj: &storagev1.StorageClass{}, list: &storagev1.StorageClassList{},
			shortNames: words{"sc"}, cluster: true},
	}
}

// addSubresources serves the subresources that are more than a part of their
// object.
func (s *Set) addSubresources(o Options) {
	budgets := policyV1.WithResource("poddisruptionbudgets").GroupResource()
	b := &binder{pods: s.Store(podsResource)}
	s.add(coreV1, "pods/binding", b)
	s.add(coreV1, "bindings", &bindingREST{b})
	s.add(coreV1, "pods/eviction", &evictionREST{
		pods:         s.Store(podsResource),
		podStatus:    s.StatusStore(podsResource),
		budgets:      s.Store(budgets),
		budgetStatus: s.StatusStore(budgets),
	})
	if o.Tokens != nil {
		core := func(resource string) *genericregistry.Store {
			return s.Store(coreV1.WithResource(resource).GroupResource())
		}
		s.add(coreV1, "serviceaccounts/token", &tokenREST{
			issuer: o.Tokens, accounts: core("serviceaccounts"), pods: core("pods"), secrets: core("secrets"), nodes: core("nodes")})
	}
	for gvr, scale := range scales(s) {
		s.add(gvr.GroupVersion(), gvr.Resource+"/scale", scale)
	}
}
