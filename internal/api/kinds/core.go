package kinds

import (
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
)

// eventTTL is how long an event is kept, in seconds.
const eventTTL = 60 * 60

func events() entry {
	return kind[*corev1.Event]{gv: coreV1, name: "events", obj: &corev1.Event{}, list: &corev1.EventList{},
		shortNames: words{"ev"}, createOnUpdate: true, gc: rest.Unsupported, ttl: eventTTL,
		alsoServed: []schema.GroupVersion{eventsv1.SchemeGroupVersion},
		selectable: eventFields,
	}
}

func eventFields(e *corev1.Event) fields.Set {
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return fields.Set{
		"involvedObject.kind":            e.InvolvedObject.Kind,
		"involvedObject.namespace":       e.InvolvedObject.Namespace,
		"involvedObject.name":            e.InvolvedObject.Name,
		"involvedObject.uid":             string(e.InvolvedObject.UID),
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         source,
		"type":                           e.Type,
	}
}

func configMaps() entry {
	return kind[*corev1.ConfigMap]{gv: coreV1, name: "configmaps", obj: &corev1.ConfigMap{}, list: &corev1.ConfigMapList{},
		shortNames: words{"cm"}}
}

func secrets() entry {
	return kind[*corev1.Secret]{gv: coreV1, name: "secrets", obj: &corev1.Secret{}, list: &corev1.SecretList{},
		selectable: func(s *corev1.Secret) fields.Set { return fields.Set{"type": string(s.Type)} }}
}

func services() entry {
	return kind[*corev1.Service]{gv: coreV1, name: "services", obj: &corev1.Service{}, list: &corev1.ServiceList{},
		shortNames: words{"svc"}, categories: words{"all"}, hasStatus: true,
		selectable: func(s *corev1.Service) fields.Set {
			return fields.Set{"spec.clusterIP": s.Spec.ClusterIP, "spec.type": string(s.Spec.Type)}
		}}
}
