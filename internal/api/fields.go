package api

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// selectable names the fields by which each kind can be selected, beyond
// metadata.name and metadata.namespace, and the name under which package kinds
// knows each. Kinds not listed have the two metadata fields.
var selectable = map[schema.GroupVersionKind]map[string]string{
	corev1.SchemeGroupVersion.WithKind("Pod"): {
		"spec.nodeName":            "spec.nodeName",
		"spec.host":                "spec.nodeName", // as it was called once
		"spec.restartPolicy":       "spec.restartPolicy",
		"spec.schedulerName":       "spec.schedulerName",
		"spec.serviceAccountName":  "spec.serviceAccountName",
		"spec.hostNetwork":         "spec.hostNetwork",
		"status.phase":             "status.phase",
		"status.podIP":             "status.podIP",
		"status.nominatedNodeName": "status.nominatedNodeName",
	},
	corev1.SchemeGroupVersion.WithKind("Node"):                  same("spec.unschedulable"),
	corev1.SchemeGroupVersion.WithKind("Namespace"):             same("status.phase"),
	corev1.SchemeGroupVersion.WithKind("Secret"):                same("type"),
	corev1.SchemeGroupVersion.WithKind("Service"):               same("spec.clusterIP", "spec.type"),
	corev1.SchemeGroupVersion.WithKind("ReplicationController"): same("status.replicas"),
	corev1.SchemeGroupVersion.WithKind("Event"): same(
		"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
		"involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
		"reason", "reportingComponent", "source", "type"),
	eventsv1.SchemeGroupVersion.WithKind("Event"): {
		"regarding.kind":            "involvedObject.kind",
		"regarding.namespace":       "involvedObject.namespace",
		"regarding.name":            "involvedObject.name",
		"regarding.uid":             "involvedObject.uid",
		"regarding.apiVersion":      "involvedObject.apiVersion",
		"regarding.resourceVersion": "involvedObject.resourceVersion",
		"regarding.fieldPath":       "involvedObject.fieldPath",
		"reason":                    "reason",
		"reportingController":       "reportingComponent",
		"type":                      "type",
	},
}

func same(labels ...string) map[string]string {
	m := make(map[string]string, len(labels))
	for _, l := range labels {
		m[l] = l
	}
	return m
}

func addFieldLabels(s *runtime.Scheme) error {
	for gvk, labels := range selectable {
		err := s.AddFieldLabelConversionFunc(gvk, func(label, value string) (string, string, error) {
			if label == "metadata.name" || label == "metadata.namespace" {
				return label, value, nil
			}
			if stored, ok := labels[label]; ok {
				return stored, value, nil
			}
			return "", "", fmt.Errorf("field label not supported: %s", label)
		})
		if err != nil {
			return fmt.Errorf("register field labels of %s: %w", gvk, err)
		}
	}
	return nil
}
