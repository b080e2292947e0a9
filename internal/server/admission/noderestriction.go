package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	corelisters "k8s.io/client-go/listers/core/v1"
	kubeletapis "k8s.io/kubelet/pkg/apis"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/server/node"
)

// nodeRestriction is NodeRestriction: it limits what nodes write to what is
// theirs. Their authorizer does not see content, nor the names of what they
// create.
type nodeRestriction struct {
	*admission.Handler
	pods  corelisters.PodLister
	nodes corelisters.NodeLister
}

var _ admission.MutationInterface = (*nodeRestriction)(nil)

func newNodeRestriction(o Options) *nodeRestriction {
	return &nodeRestriction{
		Handler: admission.NewHandler(admission.Create, admission.Update, admission.Delete),
		pods:    o.Informers.Core().V1().Pods().Lister(),
		nodes:   o.Informers.Core().V1().Nodes().Lister(),
	}
}

// Admit changes nothing. It takes part before others add what a node could not
// have written.
func (p *nodeRestriction) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	name, isNode := node.Name(a.GetUserInfo())
	if !isNode {
		return nil
	}
	err := p.check(name, a)
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return err
	}
	return forbid(a, err)
}

func (p *nodeRestriction) check(name string, a admission.Attributes) error {
	if name == "" {
		return fmt.Errorf("could not determine node from user %q", a.GetUserInfo().GetName())
	}
	switch a.GetResource().GroupResource() {
	case pods:
		return p.checkPod(name, a)
	case nodes:
		return checkNodeWrite(name, a)
	case serviceAccounts:
		return p.checkTokenRequest(name, a)
	case corev1.Resource("persistentvolumeclaims"):
		return checkClaimWrite(name, a)
	case schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}:
		if a.GetNamespace() != corev1.NamespaceNodeLease {
			return fmt.Errorf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
		}
		return checkNamedAsNode(name, a, "can only access node lease with the same name as the requesting node")
	case schema.GroupResource{Group: "storage.k8s.io", Resource: "csinodes"}:
		return checkNamedAsNode(name, a, "can only access CSINode with the same name as the requesting node")
	}
	return nil
}

// checkNamedAsNode refuses objects that are named otherwise than their node. The
// name of a new one is in the object.
func checkNamedAsNode(name string, a admission.Attributes, refusal string) error {
	named := a.GetName()
	if a.GetOperation() == admission.Create {
		object, ok := a.GetObject().(metav1.Object)
		if !ok {
			return unexpected(a.GetObject())
		}
		named = object.GetName()
	}
	if named != name {
		return errors.New(refusal)
	}
	return nil
}

func (p *nodeRestriction) checkPod(name string, a admission.Attributes) error {
	switch a.GetSubresource() {
	case "":
		switch a.GetOperation() {
		case admission.Create:
			return p.checkMirrorPod(name, a)
		case admission.Delete:
			return p.checkBound(a, a.GetName(), name, "node %q can only delete pods with spec.nodeName set to itself")
		}
		return fmt.Errorf("unexpected operation %q, node %q can only create and delete mirror pods", a.GetOperation(), name)
	case "status":
		return checkPodStatus(name, a)
	case "eviction":
		eviction, ok := a.GetObject().(*policyv1.Eviction)
		if !ok {
			return unexpected(a.GetObject())
		}
		pod := a.GetName()
		if pod == "" {
			pod = eviction.Name
		}
		return p.checkBound(a, pod, name, "node %s can only evict pods with spec.nodeName set to itself")
	}
	return fmt.Errorf("unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.GetSubresource())
}

func unexpected(obj any) error { return fmt.Errorf("unexpected type %T", obj) }

// checkBound refuses, in the given words, what is done to a pod of another node.
func (p *nodeRestriction) checkBound(a admission.Attributes, pod, name, refusal string) error {
	existing, err := p.pods.Pods(a.GetNamespace()).Get(pod)
	if err != nil {
		return err
	}
	if existing.Spec.NodeName != name {
		return fmt.Errorf(refusal, name)
	}
	return nil
}

// checkMirrorPod lets a node show the pods that it runs from files: they name
// nothing that it could come to read because of them.
func (p *nodeRestriction) checkMirrorPod(name string, a admission.Attributes) error {
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return unexpected(a.GetObject())
	}
	switch {
	case !isMirror(pod):
		return fmt.Errorf("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, name)
	case pod.Spec.NodeName != name:
		return fmt.Errorf("node %q can only create pods with spec.nodeName set to itself", name)
	case len(pod.OwnerReferences) > 1:
		return fmt.Errorf("node %q can only create pods with a single owner reference set to itself", name)
	case len(pod.OwnerReferences) == 0:
		return fmt.Errorf("node %q can only create pods with an owner reference set to itself", name)
	}
	if err := p.checkOwner(name, pod.OwnerReferences[0]); err != nil {
		return err
	}
	if what := namedObjects(pod); what != "" {
		return fmt.Errorf("node %q can not create pods that reference %s", name, what)
	}
	return nil
}

func (p *nodeRestriction) checkOwner(name string, owner metav1.OwnerReference) error {
	switch {
	case owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != name:
		return fmt.Errorf("node %q can only create pods with an owner reference set to itself", name)
	case !ptr.Deref(owner.Controller, false):
		return fmt.Errorf("node %q can only create pods with a controller owner reference set to itself", name)
	case ptr.Deref(owner.BlockOwnerDeletion, false):
		return fmt.Errorf("node %q must not set blockOwnerDeletion on an owner reference", name)
	}
	existing, err := p.nodes.Get(name)
	if err != nil {
		return err
	}
	if owner.UID != existing.UID {
		return fmt.Errorf("node %s UID mismatch: expected %s got %s", name, owner.UID, existing.UID)
	}
	return nil
}

func checkPodStatus(name string, a admission.Attributes) error {
	if a.GetOperation() != admission.Update {
		return fmt.Errorf("unexpected operation %q", a.GetOperation())
	}
	old, ok := a.GetOldObject().(*corev1.Pod)
	if !ok {
		return unexpected(a.GetOldObject())
	}
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return unexpected(a.GetObject())
	}
	switch {
	case old.Spec.NodeName != name:
		return fmt.Errorf("node %q can only update pod status for pods with spec.nodeName set to itself", name)
	case !labels.Equals(old.Labels, pod.Labels):
		return fmt.Errorf("node %q cannot update labels through pod status", name)
	case !apiequality.Semantic.DeepEqual(old.Status.ResourceClaimStatuses, pod.Status.ResourceClaimStatuses):
		return fmt.Errorf("node %q cannot update resource claim statues", name)
	case !apiequality.Semantic.DeepEqual(old.Status.ExtendedResourceClaimStatus, pod.Status.ExtendedResourceClaimStatus):
		return fmt.Errorf("node %q cannot update extended resource claim status", name)
	}
	return nil
}

// checkTokenRequest lets a node have tokens for the accounts of its pods, each
// good only as long as the pod is there.
func (p *nodeRestriction) checkTokenRequest(name string, a admission.Attributes) error {
	if a.GetOperation() != admission.Create || a.GetSubresource() != "token" {
		return nil
	}
	request, ok := a.GetObject().(*authenticationv1.TokenRequest)
	if !ok {
		return unexpected(a.GetObject())
	}
	ref := request.Spec.BoundObjectRef
	switch {
	case ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "":
		return errors.New("node requested token not bound to a pod")
	case ref.UID == "":
		return errors.New("node requested token with a pod binding without a uid")
	}
	pod, err := p.pods.Pods(a.GetNamespace()).Get(ref.Name)
	if err != nil {
		return err
	}
	switch {
	case ref.UID != pod.UID:
		return fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	case pod.Spec.NodeName != name:
		return errors.New("node requested token bound to a pod scheduled on a different node")
	}
	return checkAudience(request.Spec.Audiences, name, pod)
}

// checkAudience refuses tokens for servers that no volume of the pod asks for.
func checkAudience(audiences []string, name string, pod *corev1.Pod) error {
	if len(audiences) > 1 {
		return errors.New("node may only request 0 or 1 audiences")
	}
	wanted := strings.Join(audiences, "")
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		if slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool {
			return s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == wanted
		}) {
			return nil
		}
	}
	return fmt.Errorf("audience %q not found in pod spec volume, %s is not authorized to request tokens for this audience", wanted, node.UserPrefix+name)
}

func checkNodeWrite(name string, a admission.Attributes) error {
	if a.GetName() != name {
		return fmt.Errorf("node %q is not allowed to modify node %q", name, a.GetName())
	}
	if a.GetOperation() == admission.Delete {
		return nil
	}
	written, ok := a.GetObject().(*corev1.Node)
	if !ok {
		return unexpected(a.GetObject())
	}
	if a.GetOperation() == admission.Create {
		if forbidden := forbiddenLabels(written.Labels, nil); len(forbidden) > 0 {
			return fmt.Errorf("node %q is not allowed to set the following labels: %s", name, strings.Join(forbidden, ", "))
		}
		return nil
	}
	old, ok := a.GetOldObject().(*corev1.Node)
	if !ok {
		return unexpected(a.GetOldObject())
	}
	return checkNodeUpdate(name, written, old)
}

// checkNodeUpdate refuses changes by which a node could draw pods to itself that
// are meant for others.
func checkNodeUpdate(name string, written, old *corev1.Node) error {
	switch {
	case !apiequality.Semantic.DeepEqual(written.Spec.Taints, old.Spec.Taints):
		return fmt.Errorf("node %q is not allowed to modify taints", name)
	case !apiequality.Semantic.DeepEqual(written.OwnerReferences, old.OwnerReferences):
		return fmt.Errorf("node %q is not allowed to modify ownerReferences", name)
	}
	if forbidden := forbiddenLabels(written.Labels, old.Labels); len(forbidden) > 0 {
		return fmt.Errorf("is not allowed to modify labels: %s", strings.Join(forbidden, ", "))
	}
	return nil
}

// forbiddenLabels lists, sorted, the labels that differ and are not a node's to
// choose: those that restrict pods to nodes, and those of Kubernetes that agents
// are not known to set.
func forbiddenLabels(written, old map[string]string) []string {
	var all []string
	consider := func(key string) {
		was, had := old[key]
		if is, has := written[key]; had == has && was == is || slices.Contains(all, key) {
			return
		}
		domain, _, _ := strings.Cut(key, "/")
		restricts := within(domain, corev1.LabelNamespaceNodeRestriction) && domain != key
		reserved := domain != key && (within(domain, "kubernetes.io") || within(domain, "k8s.io"))
		if restricts || reserved && !kubeletapis.IsKubeletLabel(key) {
			all = append(all, key)
		}
	}
	for key := range written {
		consider(key)
	}
	for key := range old {
		consider(key)
	}
	slices.Sort(all)
	return all
}

func within(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}

// checkClaimWrite lets a node report on the volume of a claim, no more.
func checkClaimWrite(name string, a admission.Attributes) error {
	if a.GetSubresource() != "status" {
		return errors.New("may only update PVC status")
	}
	old, ok := a.GetOldObject().(*corev1.PersistentVolumeClaim)
	if !ok {
		return unexpected(a.GetOldObject())
	}
	claim, ok := a.GetObject().(*corev1.PersistentVolumeClaim)
	if !ok {
		return unexpected(a.GetObject())
	}
	old, claim = old.DeepCopy(), claim.DeepCopy()
	for _, c := range []*corev1.PersistentVolumeClaim{old, claim} {
		c.ResourceVersion, c.ManagedFields = "", nil
		c.Status.Capacity, c.Status.Conditions = nil, nil
		c.Status.AllocatedResources, c.Status.AllocatedResourceStatuses = nil, nil
	}
	if !apiequality.Semantic.DeepEqual(old, claim) {
		return fmt.Errorf("node %q is not allowed to update fields other than status.quantity and status.conditions", name)
	}
	return nil
}
