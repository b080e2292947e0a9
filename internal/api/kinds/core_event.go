package kinds

import (
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/garrison-project/garrison/internal/api/validation"
)

// eventTTL is how long an event is kept, in seconds.
const eventTTL = 60 * 60

func events() entry {
	return kind[*corev1.Event]{gv: coreV1, name: "events", obj: &corev1.Event{}, list: &corev1.EventList{},
		shortNames: words{"ev"}, createOnUpdate: true, gc: rest.Unsupported, ttl: eventTTL,
		selectable: eventFields,
		rules: rules[*corev1.Event]{
			validate:       validation.Event,
			validateUpdate: validation.EventUpdate,
		},
		faces: []face[*corev1.Event]{{gv: eventsv1.SchemeGroupVersion, rules: rules[*corev1.Event]{
			validate:       validation.EventsV1Event,
			validateUpdate: validation.EventsV1EventUpdate,
		}}},
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
