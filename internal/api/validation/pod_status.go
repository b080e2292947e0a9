package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// PodStatusUpdate checks a changed status of a pod.
func PodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	f := faults{list: metaUpdate(&pod.ObjectMeta, &old.ObjectMeta)}
	f.annotationUpdate(pod, old)
	f.podConditions(pod.Status.Conditions, statusPath.Child("conditions"))
	if pod.Spec.NodeName != old.Spec.NodeName {
		f.forbidden(statusPath.Child("nodeName"), "may not be changed directly")
	}
	f.nomination(pod, old)
	f.observedGeneration(pod.Status.ObservedGeneration, statusPath)
	f.add(unchanged(pod.Status.QOSClass, old.Status.QOSClass, statusPath.Child("qosClass"))...)
	f.transitions(pod, old)
	f.claimStatuses(pod, statusPath.Child("resourceClaimStatuses"))
	f.podIPs(pod, old)
	f.hostIPs(pod, old)
	for _, part := range statusParts(pod) {
		f.statusUsers(part.statuses, pod.Spec.OS, statusPath.Child(part.name))
	}
	for _, part := range statusParts(pod) {
		f.allocatedStatus(part, statusPath.Child(part.name))
	}
	return f.list
}

// statusPart is the statuses of one sort of container, and the containers that
// may have resources.
type statusPart struct {
	name       string
	statuses   []corev1.ContainerStatus
	containers []corev1.Container
}

func statusParts(pod *corev1.Pod) []statusPart {
	return []statusPart{
		{"containerStatuses", pod.Status.ContainerStatuses, pod.Spec.Containers},
		{"initContainerStatuses", pod.Status.InitContainerStatuses, pod.Spec.InitContainers},
		{"ephemeralContainerStatuses", pod.Status.EphemeralContainerStatuses, nil},
	}
}

func (f *faults) observedGeneration(generation int64, at *field.Path) {
	if generation < 0 {
		f.invalid(at.Child("observedGeneration"), generation, "must be a non-negative integer")
	}
}

func (f *faults) podConditions(conditions []corev1.PodCondition, at *field.Path) {
	for i, condition := range conditions {
		f.observedGeneration(condition.ObservedGeneration, at.Index(i))
		f.qualifiedName(at.Index(i).Child("Type"), string(condition.Type))
	}
}

// nomination checks the node that is being cleared for a pod, which a bound
// pod no longer needs.
func (f *faults) nomination(pod, old *corev1.Pod) {
	at, node := statusPath.Child("nominatedNodeName"), pod.Status.NominatedNodeName
	if node == "" || node == old.Status.NominatedNodeName {
		return
	}
	f.subdomain(at, node)
	if old.Spec.NodeName != "" {
		f.forbidden(at, "may not be set on pods that are already bound to a node")
	}
}

// transitions keeps containers that have ended for good from coming back.
func (f *faults) transitions(pod, old *corev1.Pod) {
	rules := podRestarts(&old.Spec)
	for _, part := range statusParts(old) {
		for i, was := range part.statuses {
			if was.State.Terminated == nil || rules.mayReturn(part, was) {
				continue
			}
			for _, is := range statusesLike(pod, part.name) {
				if is.Name == was.Name && is.State.Terminated == nil {
					f.forbidden(statusPath.Child(part.name).Index(i).Child("state"), "may not be transitioned to non-terminated state")
					break
				}
			}
		}
	}
}

func statusesLike(pod *corev1.Pod, name string) []corev1.ContainerStatus {
	for _, part := range statusParts(pod) {
		if part.name == name {
			return part.statuses
		}
	}
	return nil
}

// podRestarts are the rules by which a pod's containers are restarted.
type restarts struct {
	pod corev1.RestartPolicy
	// all is set if the end of some container restarts every one.
	all bool
}

func podRestarts(spec *corev1.PodSpec) restarts {
	r := restarts{pod: spec.RestartPolicy}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			r.all = r.all || slices.ContainsFunc(list[i].RestartPolicyRules, func(rule corev1.ContainerRestartRule) bool {
				return rule.Action == corev1.ContainerRestartRuleActionRestartAllContainers
			})
		}
	}
	return r
}

// mayReturn says whether a container that ended is started again. Ephemeral
// ones, which part has none of, never are.
func (r restarts) mayReturn(part statusPart, was corev1.ContainerStatus) bool {
	if part.containers != nil && r.all {
		return true
	}
	i := slices.IndexFunc(part.containers, func(c corev1.Container) bool { return c.Name == was.Name })
	return i >= 0 && r.restart(&part.containers[i], was.State.Terminated.ExitCode)
}

// restart says whether a container that ended with this code is started again:
// by the first of its rules that fits, else by its policy, else by the pod's.
func (r restarts) restart(c *corev1.Container, exitCode int32) bool {
	policy := string(r.pod)
	if c.RestartPolicy != nil {
		for _, rule := range c.RestartPolicyRules {
			if ruleFits(rule, exitCode) && (rule.Action == corev1.ContainerRestartRuleActionRestart ||
				rule.Action == corev1.ContainerRestartRuleActionRestartAllContainers) {
				return true
			}
		}
		policy = string(*c.RestartPolicy)
	}
	switch policy {
	case string(corev1.RestartPolicyNever):
		return false
	case string(corev1.RestartPolicyOnFailure):
		return exitCode != 0
	default:
		return true
	}
}

func ruleFits(rule corev1.ContainerRestartRule, exitCode int32) bool {
	if rule.ExitCodes == nil {
		return false
	}
	listed := slices.Contains(rule.ExitCodes.Values, exitCode)
	switch rule.ExitCodes.Operator {
	case corev1.ContainerRestartRuleOnExitCodesOpIn:
		return listed
	case corev1.ContainerRestartRuleOnExitCodesOpNotIn:
		return !listed
	}
	return false
}

func (f *faults) claimStatuses(pod *corev1.Pod, at *field.Path) {
	names := seen[string]{}
	for i, status := range pod.Status.ResourceClaimStatuses {
		at := at.Index(i)
		if !slices.ContainsFunc(pod.Spec.ResourceClaims, func(c corev1.PodResourceClaim) bool { return c.Name == status.Name }) {
			f.invalid(at.Child("name"), status.Name, "must match the name of an entry in `spec.resourceClaims`")
		}
		if names.again(status.Name) {
			f.duplicate(at.Child("name"), status.Name)
		}
		if status.ResourceClaimName != nil {
			f.subdomain(at.Child("resourceClaimName"), *status.ResourceClaimName)
		}
	}
}

func (f *faults) podIPs(pod, old *corev1.Pod) {
	var now, was []string
	for _, ip := range pod.Status.PodIPs {
		now = append(now, ip.IP)
	}
	for _, ip := range old.Status.PodIPs {
		was = append(was, ip.IP)
	}
	f.ips(now, was, statusPath.Child("podIPs"))
}

func (f *faults) hostIPs(pod, old *corev1.Pod) {
	at := statusPath.Child("hostIPs")
	var now, was []string
	for _, ip := range pod.Status.HostIPs {
		now = append(now, ip.IP)
	}
	for _, ip := range old.Status.HostIPs {
		was = append(was, ip.IP)
	}
	if len(now) > 0 && pod.Status.HostIP != now[0] {
		f.invalid(at.Index(0).Child("ip"), now[0], "must be equal to `hostIP`")
	}
	f.ips(now, was, at)
}

// ips checks addresses, at most one of each family.
func (f *faults) ips(now, was []string, at *field.Path) {
	for i, ip := range now {
		f.ip(ip, at.Index(i), was...)
	}
	if len(now) < 2 {
		return
	}
	// A broken address has been reported; it is of no family.
	if dual, err := netutils.IsDualStackIPStrings(now); err != nil || !dual || len(now) > 2 {
		f.invalid(at, now, "may specify no more than one IP for each IP family")
	}
}

func (f *faults) statusUsers(statuses []corev1.ContainerStatus, os *corev1.PodOS, at *field.Path) {
	for i, status := range statuses {
		if status.User == nil || status.User.Linux == nil {
			continue
		}
		user, at := status.User.Linux, at.Index(i).Child("user", "linux")
		if os != nil && os.Name == corev1.Windows {
			f.forbidden(at, "cannot be set for a windows pod")
			continue
		}
		f.user(&user.UID, at.Child("uid"))
		f.group(&user.GID, at.Child("gid"))
		for j := range user.SupplementalGroups {
			f.group(&user.SupplementalGroups[j], at.Child("supplementalGroups").Index(j))
		}
	}
}

// maxHealthMessage is the longest text about the health of a device.
const maxHealthMessage = corev1.ResourceHealthMessageMaxLength

// allocatedStatus checks what is said of the devices that a container got.
func (f *faults) allocatedStatus(part statusPart, at *field.Path) {
	for i, status := range part.statuses {
		at := at.Index(i).Child("allocatedResourcesStatus")
		if part.name == "ephemeralContainerStatuses" {
			if len(status.AllocatedResourcesStatus) > 0 {
				f.forbidden(at, "must not be specified in container status")
			}
			continue
		}
		owner := slices.IndexFunc(part.containers, func(c corev1.Container) bool { return c.Name == status.Name })
		for j, allocated := range status.AllocatedResourcesStatus {
			// The container may be gone from what this server knows.
			if owner >= 0 {
				f.allocatedName(allocated.Name, &part.containers[owner].Resources, at.Index(j).Child("name"))
			}
			f.resourceHealth(allocated.Resources, at.Index(j).Child("resources"))
		}
	}
}

func (f *faults) allocatedName(name corev1.ResourceName, r *corev1.ResourceRequirements, at *field.Path) {
	if !strings.HasPrefix(string(name), "claim:") {
		if _, ok := r.Requests[name]; !ok {
			f.invalid(at, name, "must match one of the container's resource requests")
		}
		return
	}
	for _, claim := range r.Claims {
		full := "claim:" + claim.Name
		if claim.Request != "" {
			full += "/" + claim.Request
		}
		if full == string(name) {
			return
		}
	}
	f.invalid(at, name, "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty")
}

func (f *faults) resourceHealth(list []corev1.ResourceHealth, at *field.Path) {
	ids := seen[corev1.ResourceID]{}
	for i, r := range list {
		at := at.Index(i)
		supported(f, at.Child("health"), r.Health,
			corev1.ResourceHealthStatusHealthy, corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown)
		switch message := r.Message; {
		case message == nil:
		case *message == "":
			f.required(at.Child("message"), "must be non-empty if specified")
		case len(*message) > maxHealthMessage:
			f.add(field.TooLong(at.Child("message"), "", maxHealthMessage))
		}
		if ids.again(r.ResourceID) {
			f.duplicate(at.Child("resourceID"), r.ResourceID)
		}
	}
}
