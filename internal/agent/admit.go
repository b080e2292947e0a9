package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// adopt takes over what an earlier agent has started: it is not asked again
// whether the node can take it.
func (a *Agent) adopt() {
	for _, p := range a.roster.list() {
		object := p.current()
		held := a.sight.holding(p.uid)
		if object.Status.StartTime != nil || len(held.Sandboxes) > 0 || len(held.Containers) > 0 || held.Err != nil {
			p.admit(object)
		}
	}
}

// admit lets a pod take its part of the node.
func (p *pod) admit(object *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admitted = true
	if !ended(object) && p.failure == nil {
		p.subject = place.ForPod(object)
	}
}

// admit decides, once per pod, whether it may start; one that may not fails. It
// returns false while that cannot be told: the node is not known, or a pod has to
// wait for another of its name.
func (a *Agent) admit(p *pod) bool {
	a.admission.Lock()
	defer a.admission.Unlock()
	p.mu.Lock()
	decided, object := p.admitted || p.failure != nil || p.gone, p.object
	p.mu.Unlock()
	if decided || ended(object) || object.DeletionTimestamp != nil {
		return true
	}
	if p.source == fromFile && a.nameTaken(p) {
		return false
	}
	node := a.Node()
	if node == nil {
		return false
	}
	refusal, wait := a.refusal(p, object, node)
	switch {
	case wait:
		return false
	case refusal == nil:
		p.admit(object)
		p.mu.Lock()
		p.seen = a.Clock.Now()
		p.mu.Unlock()
		return true
	}
	p.mu.Lock()
	p.failure = &podstep.Failure{Reason: refusal.reason, Message: "Pod was rejected: " + refusal.message}
	p.mu.Unlock()
	a.tell(object, "", warning(refusal.reason, refusal.message))
	return true
}

// nameTaken tells whether another static pod of the same name is there still, such
// as the one that the file described before.
func (a *Agent) nameTaken(p *pod) bool {
	return slices.ContainsFunc(a.roster.named(p.name(), fromFile), func(other *pod) bool {
		other.mu.Lock()
		defer other.mu.Unlock()
		return other != p && (other.admitted || other.gone)
	})
}

// refusal says why a pod may not start.
type refusal struct{ reason, message string }

// refusal is nil if the pod may start, at once or, with wait, when others have left.
func (a *Agent) refusal(p *pod, object *corev1.Pod, node *corev1.Node) (r *refusal, wait bool) {
	if r := a.unsupported(object, node); r != nil {
		return r, false
	}
	static, subject := isStatic(object), place.ForPod(object)
	against := func(others ...*place.Subject) []place.Reason {
		return slices.DeleteFunc(place.Admit(subject, node, others), func(r place.Reason) bool { return ignorable(r, node, static) })
	}
	there := a.occupants(p)
	stay := subjectsOf(there.staying)
	reasons := against(slices.Concat(stay, there.leaving)...)
	if len(reasons) == 0 {
		// Only those can be in the way whose end nobody but this agent awaits.
		return nil, len(against(slices.Concat(stay, there.leaving, there.forgotten)...)) > 0
	}
	if !isCritical(object) {
		return firstRefusal(reasons), false
	}
	// Room can be made, but nothing else.
	if r := firstRefusal(slices.DeleteFunc(reasons, func(r place.Reason) bool { return r.Filter() == place.ResourceFilter })); r != nil {
		return r, false
	}
	r = a.makeRoom(p, object, against(stay...), there.staying)
	return r, r == nil
}

// unsupported says what a pod asks for that this node does not have, whoever else is
// there.
func (a *Agent) unsupported(object *corev1.Pod, node *corev1.Node) *refusal {
	if os := object.Spec.OS; os != nil && os.Name != corev1.Linux {
		return &refusal{"PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"}
	}
	if lacksGroupsPolicy(object, node) {
		return &refusal{"SupplementalGroupsPolicyNotSupported", "SupplementalGroupsPolicy=Strict is not supported in this node"}
	}
	if why := a.sysctls.refuse(object); why != "" {
		return &refusal{"SysctlForbidden", "forbidden sysctl: " + why}
	}
	return nil
}

// lacksGroupsPolicy tells whether containers would silently be put into groups that
// they must not be in.
func lacksGroupsPolicy(object *corev1.Pod, node *corev1.Node) bool {
	security := object.Spec.SecurityContext
	if security == nil || ptr.Deref(security.SupplementalGroupsPolicy, corev1.SupplementalGroupsPolicyMerge) != corev1.SupplementalGroupsPolicyStrict {
		return false
	}
	return node.Status.Features == nil || !ptr.Deref(node.Status.Features.SupplementalGroupsPolicy, false)
}

// firstRefusal is the reason that a kubelet would name first, nil if there is none.
func firstRefusal(reasons []place.Reason) *refusal {
	if len(reasons) == 0 {
		return nil
	}
	order := []place.Filter{place.ResourceFilter, place.NodeAffinityFilter, place.NodeNameFilter, place.PortFilter, place.TaintFilter}
	return refusalFor(slices.MinFunc(reasons, func(a, b place.Reason) int {
		return cmp.Compare(slices.Index(order, a.Filter()), slices.Index(order, b.Filter()))
	}))
}

// ignorable tells whether a reason does not count here: resources that the node
// has never heard of are others' affair, and taints do not concern static pods.
func ignorable(reason place.Reason, node *corev1.Node, static bool) bool {
	switch r := reason.(type) {
	case place.InsufficientResource:
		_, known := node.Status.Allocatable[r.Name]
		return !known && strings.Contains(string(r.Name), "/")
	case place.UntoleratedTaint:
		return static
	}
	return false
}

// refusalFor renders a reason as kubelets do.
func refusalFor(reason place.Reason) *refusal {
	predicate := func(name, why string) *refusal {
		return &refusal{name, fmt.Sprintf("Predicate %s failed: %s", name, why)}
	}
	short := func(name corev1.ResourceName, requested, used, capacity int64) *refusal {
		return &refusal{"OutOf" + string(name), fmt.Sprintf(
			"Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, requested, used, capacity)}
	}
	switch r := reason.(type) {
	case place.InsufficientResource:
		return short(r.Name, r.Requested, r.Used, r.Allocatable)
	case place.TooManyPods:
		return short(corev1.ResourcePods, 1, r.Used, r.Allowed)
	case place.NodeSelectorMismatch, place.NodeAffinityMismatch:
		return predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
	case place.NodeNameMismatch:
		return predicate("NodeName", "node(s) didn't match the requested node name")
	case place.PortConflict:
		return predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports")
	case place.UntoleratedTaint:
		return predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate")
	}
	return &refusal{"UnexpectedAdmissionError", fmt.Sprintf("GeneralPredicates failed due to %v, which is unexpected.", reason)}
}

// Fail has a pod end as Failed, for a reason such as Evicted.
func (a *Agent) Fail(object *corev1.Pod, failure podstep.Failure) {
	p := a.roster.get(object.UID)
	if p == nil {
		return
	}
	p.mu.Lock()
	if p.failure == nil {
		p.failure = &failure
	}
	p.mu.Unlock()
	a.steps.Add(p.uid)
}
