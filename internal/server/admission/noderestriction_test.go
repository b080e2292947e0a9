package admission

import (
	"slices"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"
)

// mirrorOn is a mirror pod as the agent of node a makes it.
func mirrorOn(change func(*corev1.Pod)) *corev1.Pod {
	return newPod(func(p *corev1.Pod) {
		p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "a", UID: "uid-a", Controller: ptr.To(true)}}
		p.Spec.NodeName = "a"
		change(p)
	})
}

func newNode(name string, change func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}}}
	change(n)
	return n
}

func podOn(node, name string) *corev1.Pod {
	return newPod(func(p *corev1.Pod) { p.Name, p.UID, p.Spec.NodeName = name, types.UID("uid-"+name), node })
}

var (
	// mine is on node a, and asks for tokens for two servers.
	mine  = podOn("a", "mine")
	other = podOn("b", "other")
)

func init() {
	mine.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: ""}},
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault"}}}}}}}
}

type restrictionTest struct {
	request request
	wantErr string
}

// testRestriction sends requests through NodeRestriction alone. Node a is there,
// and so are the pods mine and other.
func testRestriction(t *testing.T, tests map[string]restrictionTest) {
	t.Helper()
	c := newChain(t, Options{}, newNode("a", func(n *corev1.Node) { n.UID = "uid-a" }), mine, other)
	i := slices.Index(pluginNames(c.plugins), "NodeRestriction")
	plugin := c.plugins[i].Interface.(admission.MutationInterface)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantError(t, plugin.Admit(t.Context(), tt.request.attributes(), nil), tt.wantErr)
		})
	}
}

func same(*corev1.Pod) {}

func podRequest(p *corev1.Pod, op admission.Operation) request {
	return request{resource: "pods", op: op, obj: p, user: "a"}
}

func TestNodesCreateMirrorPods(t *testing.T) {
	create := func(change func(*corev1.Pod)) request { return podRequest(mirrorOn(change), admission.Create) }
	testRestriction(t, map[string]restrictionTest{
		"mirror pod":                    {create(same), ""},
		"pod that is no mirror":         {create(func(p *corev1.Pod) { p.Annotations = nil }), `pods "p" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "a" can only create mirror pods`},
		"mirror pod on another node":    {create(func(p *corev1.Pod) { p.Spec.NodeName = "b" }), `pods "p" is forbidden: node "a" can only create pods with spec.nodeName set to itself`},
		"mirror pod without owner":      {create(func(p *corev1.Pod) { p.OwnerReferences = nil }), `pods "p" is forbidden: node "a" can only create pods with an owner reference set to itself`},
		"mirror pod with two owners":    {create(func(p *corev1.Pod) { p.OwnerReferences = append(p.OwnerReferences, p.OwnerReferences...) }), `pods "p" is forbidden: node "a" can only create pods with a single owner reference set to itself`},
		"mirror pod of another owner":   {create(func(p *corev1.Pod) { p.OwnerReferences[0].Name = "b" }), `pods "p" is forbidden: node "a" can only create pods with an owner reference set to itself`},
		"mirror pod of no controller":   {create(func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil }), `pods "p" is forbidden: node "a" can only create pods with a controller owner reference set to itself`},
		"mirror pod that blocks":        {create(func(p *corev1.Pod) { p.OwnerReferences[0].BlockOwnerDeletion = ptr.To(true) }), `pods "p" is forbidden: node "a" must not set blockOwnerDeletion on an owner reference`},
		"mirror pod of a former node":   {create(func(p *corev1.Pod) { p.OwnerReferences[0].UID = "old" }), `pods "p" is forbidden: node a UID mismatch: expected old got uid-a`},
		"mirror pod with an account":    {create(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "x" }), `pods "p" is forbidden: node "a" can not create pods that reference serviceaccounts`},
		"mirror pod with a pull secret": {create(func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "x"}} }), `pods "p" is forbidden: node "a" can not create pods that reference secrets`},
	})
}

func TestNodesChangeTheirPods(t *testing.T) {
	status := func(old *corev1.Pod, change func(*corev1.Pod)) request {
		p := old.DeepCopy()
		change(p)
		return request{resource: "pods", subresource: "status", op: admission.Update, obj: p, old: old, user: "a"}
	}
	evict := func(name string) request {
		return request{resource: "pods", subresource: "eviction", op: admission.Create, user: "a",
			obj: &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}}
	}
	testRestriction(t, map[string]restrictionTest{
		"someone else":              {request{resource: "pods", op: admission.Delete, obj: other}, ""},
		"another kind":              {request{resource: "services", op: admission.Create, obj: &corev1.Service{}, user: "a"}, ""},
		"deletion of its pod":       {podRequest(mine, admission.Delete), ""},
		"deletion of another's pod": {podRequest(other, admission.Delete), `pods "other" is forbidden: node "a" can only delete pods with spec.nodeName set to itself`},
		"deletion of no pod":        {podRequest(podOn("a", "gone"), admission.Delete), `pod "gone" not found`},
		"update of a pod":           {podRequest(mine, admission.Update), `pods "mine" is forbidden: unexpected operation "UPDATE", node "a" can only create and delete mirror pods`},
		"status of its pod":         {status(mine, func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }), ""},
		"status of another's pod":   {status(other, same), `pods "other" is forbidden: node "a" can only update pod status for pods with spec.nodeName set to itself`},
		"status with a label":       {status(mine, func(p *corev1.Pod) { p.Labels = map[string]string{"x": "y"} }), `pods "mine" is forbidden: node "a" cannot update labels through pod status`},
		"eviction of its pod":       {evict("mine"), ""},
		"eviction of another's pod": {evict("other"), `pods "other" is forbidden: node a can only evict pods with spec.nodeName set to itself`},
		"exec":                      {request{resource: "pods", subresource: "exec", op: admission.Create, obj: mine, user: "a"}, `pods "mine" is forbidden: unexpected pod subresource "exec", only 'status' and 'eviction' are allowed`},
	})
}

func TestNodesChangeThemselves(t *testing.T) {
	none := func(*corev1.Node) {}
	node := func(op admission.Operation, n, old *corev1.Node) request {
		r := request{resource: "nodes", op: op, obj: n, user: "a"}
		if old != nil {
			r.old = old
		}
		return r
	}
	update := func(change func(*corev1.Node)) request {
		return node(admission.Update, newNode("a", change), newNode("a", none))
	}
	label := func(key string) func(*corev1.Node) { return func(n *corev1.Node) { n.Labels[key] = "x" } }
	testRestriction(t, map[string]restrictionTest{
		"itself":                       {node(admission.Create, newNode("a", none), nil), ""},
		"another node":                 {node(admission.Create, newNode("b", none), nil), `nodes "b" is forbidden: node "a" is not allowed to modify node "b"`},
		"itself with its labels":       {node(admission.Create, newNode("a", label("node.kubernetes.io/x")), nil), ""},
		"itself with a user's label":   {node(admission.Create, newNode("a", label("example.org/x")), nil), ""},
		"itself with a role":           {node(admission.Create, newNode("a", label("node-role.kubernetes.io/x")), nil), `nodes "a" is forbidden: node "a" is not allowed to set the following labels: node-role.kubernetes.io/x`},
		"itself with a restriction":    {update(label("node-restriction.kubernetes.io/x")), `nodes "a" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/x`},
		"itself under a restriction":   {update(label("x.node-restriction.kubernetes.io/y")), `nodes "a" is forbidden: is not allowed to modify labels: x.node-restriction.kubernetes.io/y`},
		"itself without a restriction": {node(admission.Update, newNode("a", none), newNode("a", label("node-restriction.kubernetes.io/x"))), `nodes "a" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/x`},
		"itself with taints, first":    {node(admission.Create, newNode("a", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "x"}} }), nil), ""},
		"itself with taints, later":    {update(func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "x"}} }), `nodes "a" is forbidden: node "a" is not allowed to modify taints`},
		"itself with an owner":         {update(func(n *corev1.Node) { n.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }), `nodes "a" is forbidden: node "a" is not allowed to modify ownerReferences`},
		"itself unschedulable":         {update(func(n *corev1.Node) { n.Spec.Unschedulable = true }), ""},
	})
}

func TestNodesKeepTheirLease(t *testing.T) {
	lease := func(namespace, name string) request {
		return request{resource: "leases.coordination.k8s.io", op: admission.Create, user: "a",
			obj: &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}}
	}
	testRestriction(t, map[string]restrictionTest{
		"its lease":         {lease("kube-node-lease", "a"), ""},
		"another's lease":   {lease("kube-node-lease", "b"), `leases.coordination.k8s.io "b" is forbidden: can only access node lease with the same name as the requesting node`},
		"a lease elsewhere": {lease("ns", "a"), `leases.coordination.k8s.io "a" is forbidden: can only access leases in the "kube-node-lease" system namespace`},
	})
}

func TestNodesGetTokensForTheirPods(t *testing.T) {
	token := func(ref *authenticationv1.BoundObjectReference, audiences ...string) request {
		return request{resource: "serviceaccounts", subresource: "token", op: admission.Create, user: "a",
			obj: &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "default"},
				Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: ref, Audiences: audiences}}}
	}
	to := func(name, uid string) *authenticationv1.BoundObjectReference {
		return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: name, UID: types.UID("uid-" + uid)}
	}
	testRestriction(t, map[string]restrictionTest{
		"token for its pod":                {token(to("mine", "mine")), ""},
		"token for an audience of the pod": {token(to("mine", "mine"), "vault"), ""},
		"token for another audience":       {token(to("mine", "mine"), "bank"), `serviceaccounts "default" is forbidden: audience "bank" not found in pod spec volume, system:node:a is not authorized to request tokens for this audience`},
		"token for two audiences":          {token(to("mine", "mine"), "vault", "bank"), `serviceaccounts "default" is forbidden: node may only request 0 or 1 audiences`},
		"token for nothing":                {token(nil), `serviceaccounts "default" is forbidden: node requested token not bound to a pod`},
		"token without UID":                {token(&authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "mine"}), `serviceaccounts "default" is forbidden: node requested token with a pod binding without a uid`},
		"token for a pod of that name":     {token(to("mine", "old")), `serviceaccounts "default" is forbidden: the UID in the bound object reference (uid-old) does not match the UID in record. The object might have been deleted and then recreated`},
		"token for another's pod":          {token(to("other", "other")), `serviceaccounts "default" is forbidden: node requested token bound to a pod scheduled on a different node`},
		"token for no pod":                 {token(to("gone", "x")), `pod "gone" not found`},
	})
}

func TestClaimsAreReportedOn(t *testing.T) {
	claim := func(change func(*corev1.PersistentVolumeClaim)) runtime.Object {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}}
		change(c)
		return c
	}
	none := func(*corev1.PersistentVolumeClaim) {}
	p := &nodeRestriction{}
	for name, tt := range map[string]struct {
		subresource string
		change      func(*corev1.PersistentVolumeClaim)
		wantErr     string
	}{
		"capacity": {"status", func(c *corev1.PersistentVolumeClaim) { c.Status.Capacity = list("storage", "1Gi") }, ""},
		"phase": {"status", func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimBound },
			`persistentvolumeclaims "c" is forbidden: node "a" is not allowed to update fields other than status.quantity and status.conditions`},
		"spec": {"", none, `persistentvolumeclaims "c" is forbidden: may only update PVC status`},
	} {
		t.Run(name, func(t *testing.T) {
			r := request{resource: "persistentvolumeclaims", subresource: tt.subresource, op: admission.Update, old: claim(none), obj: claim(tt.change), user: "a"}
			wantError(t, p.Admit(t.Context(), r.attributes(), nil), tt.wantErr)
		})
	}
}

// A mirror pod may have volumes from its machine, and none that name objects.
func TestMirrorPodVolumes(t *testing.T) {
	projected := func(s corev1.VolumeProjection) corev1.VolumeSource {
		return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{s}}}
	}
	for _, tt := range []struct {
		volume corev1.VolumeSource
		want   string
	}{
		{corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}, ""},
		{corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}, ""},
		{projected(corev1.VolumeProjection{DownwardAPI: &corev1.DownwardAPIProjection{}}), ""},
		{projected(corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}}), "serviceaccounts (via projected volumes)"},
		{projected(corev1.VolumeProjection{Secret: &corev1.SecretProjection{}}), "secrets (via projected volumes)"},
		{projected(corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{}}), "configmaps (via projected volumes)"},
		{projected(corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{}}), "clustertrustbundles"},
		{projected(corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{}}), "podcertificates"},
		{projected(corev1.VolumeProjection{}), "objects (via a projection of an unknown kind)"},
		{corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}, "configmaps (via configmap volumes)"},
		{corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}, "secrets (via secret volumes)"},
		{corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{}}, "csidrivers (via CSI volumes)"},
		{corev1.VolumeSource{Glusterfs: &corev1.GlusterfsVolumeSource{}}, "endpoints (via glusterFS volumes)"},
		{corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}, "persistentvolumeclaims"},
		{corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}, "persistentvolumeclaims (via ephemeral volumes)"},
		{corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{}}, "secrets (via azureFile volumes)"},
		{corev1.VolumeSource{}, "objects (via volume v of an unknown kind)"},
	} {
		pod := newPod(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: tt.volume}} })
		if got := namedObjects(pod); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.volume, got, tt.want)
		}
	}
}
