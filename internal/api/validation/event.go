package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Event checks an event that came through the core group, new or changed.
func Event(event *corev1.Event) field.ErrorList { return nil }

// EventUpdate checks a changed event that came through the core group.
func EventUpdate(event, _ *corev1.Event) field.ErrorList { return Event(event) }

// EventsV1Event checks a new event that came through events.k8s.io/v1, in the
// form in which it is stored.
func EventsV1Event(event *corev1.Event) field.ErrorList { return Event(event) }

// EventsV1EventUpdate checks a changed event that came through
// events.k8s.io/v1, in the form in which it is stored.
func EventsV1EventUpdate(event, _ *corev1.Event) field.ErrorList { return Event(event) }
