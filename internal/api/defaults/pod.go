package defaults

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// Pod completes a pod: first what belongs to pods alone, then what it shares
// with templates.
func Pod(pod *corev1.Pod) {
	spec := &pod.Spec
	each(spec.Containers, requestsFromLimits)
	each(spec.InitContainers, requestsFromLimits)
	podLevelLimits(pod)
	podLevelRequests(pod)
	setPointer(&spec.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	if spec.HostNetwork {
		each(spec.Containers, hostPorts)
		each(spec.InitContainers, hostPorts)
	}
	if grace := spec.TerminationGracePeriodSeconds; grace != nil && *grace < 0 {
		least := int64(1)
		spec.TerminationGracePeriodSeconds = &least
	}
	podSpec(spec)
	pod.Annotations = withoutInitContainerAnnotations(pod.Annotations)
	podStatus(&pod.Status)
}

// PodTemplate completes a stored pod template.
func PodTemplate(template *corev1.PodTemplate) { PodTemplateSpec(&template.Template) }

// PodTemplateSpec completes the template that a workload carries. Its result
// is what revisions are hashed from.
func PodTemplateSpec(template *corev1.PodTemplateSpec) {
	podSpec(&template.Spec)
	template.Annotations = withoutInitContainerAnnotations(template.Annotations)
}

func podSpec(spec *corev1.PodSpec) {
	setDefault(&spec.DNSPolicy, corev1.DNSClusterFirst)
	setDefault(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	setDefault(&spec.SchedulerName, corev1.DefaultSchedulerName)
	setPointer(&spec.SecurityContext, corev1.PodSecurityContext{})
	setPointer(&spec.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))

	// serviceAccount is the older name of serviceAccountName; readers of either
	// must see the same value, and the newer one wins.
	setDefault(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName

	each(spec.Volumes, volume)
	each(spec.InitContainers, container)
	each(spec.Containers, container)
	for i := range spec.EphemeralContainers {
		container((*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	roundUp(spec.Overhead)
	if spec.Resources != nil {
		roundUpRequirements(spec.Resources)
	}
}

// hostPorts publishes every port under its own number: with the host's network
// there is no other choice.
func hostPorts(c *corev1.Container) {
	for i := range c.Ports {
		setDefault(&c.Ports[i].HostPort, c.Ports[i].ContainerPort)
	}
}

func podStatus(status *corev1.PodStatus) {
	// podIP and the first of podIPs are one value; podIP wins when they differ,
	// for agents that know only it.
	switch {
	case status.PodIP != "" && (len(status.PodIPs) == 0 || status.PodIPs[0].IP != status.PodIP):
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	case len(status.PodIPs) > 0:
		status.PodIP = status.PodIPs[0].IP
	}
	for _, statuses := range [][]corev1.ContainerStatus{
		status.InitContainerStatuses, status.ContainerStatuses, status.EphemeralContainerStatuses,
	} {
		each(statuses, containerStatus)
	}
	roundUp(status.AllocatedResources)
	if status.Resources != nil {
		roundUpRequirements(status.Resources)
	}
}

func containerStatus(status *corev1.ContainerStatus) {
	roundUp(status.AllocatedResources)
	if status.Resources != nil {
		roundUpRequirements(status.Resources)
	}
}

// withoutInitContainerAnnotations drops the annotations that carried init
// containers before they became a field. The argument is left as it is.
func withoutInitContainerAnnotations(annotations map[string]string) map[string]string {
	legacy := func(key string) bool {
		switch key {
		case "pod.alpha.kubernetes.io/init-containers", "pod.alpha.kubernetes.io/init-container-statuses",
			"pod.beta.kubernetes.io/init-containers", "pod.beta.kubernetes.io/init-container-statuses":
			return true
		}
		return false
	}
	found := false
	for key := range annotations {
		found = found || legacy(key)
	}
	if !found {
		return annotations
	}
	kept := make(map[string]string, len(annotations))
	for key, value := range annotations {
		if !legacy(key) {
			kept[key] = value
		}
	}
	return kept
}

// podLevelLimits takes over the huge pages that the containers are limited to,
// if the pod states any resources of its own.
func podLevelLimits(pod *corev1.Pod) {
	own := pod.Spec.Resources
	if own == nil || len(own.Limits)+len(own.Requests) == 0 {
		return
	}
	for name, quantity := range resource.AggregateContainerLimits(pod, resource.PodResourcesOptions{}) {
		if _, requested := own.Requests[name]; requested || !isHugePages(name) {
			continue
		}
		setQuantity(&own.Limits, name, quantity)
	}
}

// podLevelRequests fills the requests of a pod that has limits of its own: from
// what its containers request together, else from those limits.
func podLevelRequests(pod *corev1.Pod) {
	own := pod.Spec.Resources
	if own == nil || len(own.Limits) == 0 {
		return
	}
	for name, quantity := range resource.AggregateContainerRequests(pod, resource.PodResourcesOptions{}) {
		// What cannot be overcommitted must equal its limit, set below.
		if resource.IsSupportedPodLevelResource(name) && !isHugePages(name) {
			setQuantity(&own.Requests, name, quantity)
		}
	}
	for name, quantity := range own.Limits {
		if resource.IsSupportedPodLevelResource(name) {
			setQuantity(&own.Requests, name, quantity)
		}
	}
}
