package validation

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// Node checks a new node.
func Node(node *corev1.Node) field.ErrorList {
	f := faults{list: clusterScoped(&node.ObjectMeta, apivalidation.NameIsDNSSubdomain)}
	f.nodeAnnotations(node.Annotations, metadataPath.Child("annotations"))
	f.taints(node.Spec.Taints, metadataPath.Child("taints"))
	f.nodeResources(node)
	if swap := node.Status.NodeInfo.Swap; swap != nil && swap.Capacity != nil {
		f.positive(metadataPath.Child("nodeSwapStatus", "capacity"), *swap.Capacity)
	}
	f.declaredFeatures(node.Status.DeclaredFeatures, statusPath.Child("declaredFeatures"))
	f.podCIDRs(node.Spec.PodCIDRs, specPath.Child("podCIDRs"))
	return f.list
}

// NodeUpdate checks a changed node.
func NodeUpdate(node, old *corev1.Node) field.ErrorList {
	return append(Node(node), NodeStatusUpdate(node, old)...)
}

// NodeStatusUpdate checks a changed status of a node, by the rules for any
// change.
func NodeStatusUpdate(node, old *corev1.Node) field.ErrorList {
	f := faults{list: metaUpdate(&node.ObjectMeta, &old.ObjectMeta)}
	f.nodeAnnotations(node.Annotations, metadataPath.Child("annotations"))
	f.nodeResources(node)
	f.declaredFeatures(node.Status.DeclaredFeatures, statusPath.Child("declaredFeatures"))
	addresses := seen[corev1.NodeAddress]{}
	for i, address := range node.Status.Addresses {
		if addresses.again(address) {
			f.duplicate(statusPath.Child("addresses").Index(i), address)
		}
	}
	if was := old.Spec.PodCIDRs; len(was) > 0 && !slices.Equal(was, node.Spec.PodCIDRs) {
		f.forbidden(specPath.Child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid")
	}
	if was := old.Spec.ProviderID; was != "" && was != node.Spec.ProviderID {
		f.forbidden(specPath.Child("providerID"), "node updates may not change providerID except from \"\" to valid")
	}
	f.taints(node.Spec.Taints, metadataPath.Child("taints"))
	if node.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		f.forbidden(specPath.Child("externalID"), "may not be updated")
	}
	return f.list
}

// nodeAnnotations checks the annotations that held taints and wishes before
// there were fields for them.
func (f *faults) nodeAnnotations(annotations map[string]string, at *field.Path) {
	if text := annotations[corev1.TaintsAnnotationKey]; text != "" {
		var taints []corev1.Taint
		if err := json.Unmarshal([]byte(text), &taints); err != nil {
			f.invalid(at, corev1.TaintsAnnotationKey, err.Error())
		}
		f.taints(taints, at.Child(corev1.TaintsAnnotationKey))
	}
	text := annotations[corev1.PreferAvoidPodsAnnotationKey]
	if text == "" {
		return
	}
	var avoid corev1.AvoidPods
	if err := json.Unmarshal([]byte(text), &avoid); err != nil {
		f.invalid(at.Child("AvoidPods"), corev1.PreferAvoidPodsAnnotationKey, err.Error())
		return
	}
	for i, entry := range avoid.PreferAvoidPods {
		at := at.Child(corev1.PreferAvoidPodsAnnotationKey).Index(i).Child("PodSignature")
		if owner := entry.PodSignature.PodController; owner == nil {
			f.required(at, "")
		} else if !isTrue(owner.Controller) {
			f.invalid(at.Child("PodController", "Controller"), false, "must point to a controller")
		}
	}
}

func (f *faults) taints(taints []corev1.Taint, at *field.Path) {
	type pair struct {
		key    string
		effect corev1.TaintEffect
	}
	pairs := seen[pair]{}
	for i, taint := range taints {
		at := at.Index(i)
		f.add(metav1validation.ValidateLabelName(taint.Key, at.Child("key"))...)
		if msgs := validation.IsValidLabelValue(taint.Value); len(msgs) > 0 {
			f.invalid(at.Child("value"), taint.Value, strings.Join(msgs, ";"))
		}
		f.taintEffect(taint.Effect, at.Child("effect"))
		if pairs.again(pair{taint.Key, taint.Effect}) {
			twice := field.Duplicate(at, taint)
			twice.Detail = "taints must be unique by key and effect pair"
			f.add(twice)
		}
	}
}

func (f *faults) nodeResources(node *corev1.Node) {
	for _, part := range []struct {
		name string
		list corev1.ResourceList
	}{{"capacity", node.Status.Capacity}, {"allocatable", node.Status.Allocatable}} {
		for _, name := range sortedKeys(part.list) {
			f.quantity(statusPath.Child(part.name, string(name)), name, part.list[name])
		}
	}
}

var declaredFeature = regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*$`)

// declaredFeatures checks what an agent says it can do: names in order.
func (f *faults) declaredFeatures(list []string, at *field.Path) {
	const longest = validation.DNS1123SubdomainMaxLength
	for i, name := range list {
		switch {
		case len(name) > longest:
			f.invalid(at.Index(i), name, fmt.Sprintf("invalid feature name %q: must be no more than %d characters", name, longest))
		case !declaredFeature.MatchString(name):
			f.invalid(at.Index(i), name, fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", name))
		}
		if i+1 == len(list) {
			break
		}
		switch next := list[i+1]; {
		case name == next:
			f.duplicate(at.Index(i+1), next)
		case name > next:
			f.invalid(at.Index(i+1), next, "list must be sorted alphabetically")
		}
	}
}

// podCIDRs checks the address ranges of a node's pods, one of each family.
func (f *faults) podCIDRs(list []string, at *field.Path) {
	for i, value := range list {
		f.cidr(value, at.Index(i))
	}
	if len(list) < 2 {
		return
	}
	if dual, err := netutils.IsDualStackCIDRStrings(list); err != nil || !dual || len(list) > 2 {
		f.invalid(at, list, "may specify no more than one CIDR for each IP family")
	}
}
