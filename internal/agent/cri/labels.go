package cri

import (
	"encoding/json"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/agent"
)

// Labels and annotations as kubelets write them.
const (
	podNameLabel       = "io.kubernetes.pod.name"
	podNamespaceLabel  = "io.kubernetes.pod.namespace"
	podUIDLabel        = "io.kubernetes.pod.uid"
	containerNameLabel = "io.kubernetes.container.name"

	hashAnnotation          = "io.kubernetes.container.hash"
	restartCountAnnotation  = "io.kubernetes.container.restartCount"
	messagePathAnnotation   = "io.kubernetes.container.terminationMessagePath"
	messagePolicyAnnotation = "io.kubernetes.container.terminationMessagePolicy"
	preStopAnnotation       = "io.kubernetes.container.preStopHandler"
	portsAnnotation         = "io.kubernetes.container.ports"
	deletionGraceAnnotation = "io.kubernetes.pod.deletionGracePeriod"
	graceAnnotation         = "io.kubernetes.pod.terminationGracePeriod"
)

// What only this package reads.
const (
	// ownerLabel names the agent, so that several can share one runtime.
	ownerLabel = "garrison.dev/agent"
	// imageAnnotation is the image as the spec of a container names it.
	imageAnnotation = "garrison.dev/image"
	// Of a sandbox, what containers must be told again.
	hostnameAnnotation     = "garrison.dev/hostname"
	logDirectoryAnnotation = "garrison.dev/log-directory"
)

// podLabels are those that both sandbox and containers have.
func podLabels(pod *corev1.Pod, owner string) map[string]string {
	labels := map[string]string{
		podNameLabel:      pod.Name,
		podNamespaceLabel: pod.Namespace,
		podUIDLabel:       string(pod.UID),
	}
	if owner != "" {
		labels[ownerLabel] = owner
	}
	return labels
}

func sandboxLabels(pod *corev1.Pod, owner string) map[string]string {
	labels := maps.Clone(pod.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, podLabels(pod, owner))
	return labels
}

// podOf reads the labels of a sandbox or a container.
func podOf(labels map[string]string) agent.PodName {
	return agent.PodName{
		NamespacedName: types.NamespacedName{Namespace: labels[podNamespaceLabel], Name: labels[podNameLabel]},
		UID:            types.UID(labels[podUIDLabel]),
	}
}

func sandboxAnnotations(config agent.SandboxConfig) map[string]string {
	annotations := maps.Clone(config.Pod.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[hostnameAnnotation] = config.Hostname
	annotations[logDirectoryAnnotation] = config.LogDirectory
	return annotations
}

func containerAnnotations(config agent.ContainerConfig) (map[string]string, error) {
	pod, spec := config.Pod, config.Spec
	annotations := map[string]string{
		hashAnnotation:          config.Hash,
		restartCountAnnotation:  strconv.Itoa(config.Attempt),
		messagePathAnnotation:   spec.TerminationMessagePath,
		messagePolicyAnnotation: string(spec.TerminationMessagePolicy),
		imageAnnotation:         spec.Image,
	}
	if grace := pod.DeletionGracePeriodSeconds; grace != nil {
		annotations[deletionGraceAnnotation] = strconv.FormatInt(*grace, 10)
	}
	if grace := pod.Spec.TerminationGracePeriodSeconds; grace != nil {
		annotations[graceAnnotation] = strconv.FormatInt(*grace, 10)
	}
	if spec.Lifecycle != nil && spec.Lifecycle.PreStop != nil {
		hook, err := json.Marshal(spec.Lifecycle.PreStop)
		if err != nil {
			return nil, err
		}
		annotations[preStopAnnotation] = string(hook)
	}
	if len(spec.Ports) > 0 {
		ports, err := json.Marshal(spec.Ports)
		if err != nil {
			return nil, err
		}
		annotations[portsAnnotation] = string(ports)
	}
	return annotations, nil
}
