package tables

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

var eventDoc = corev1.Event{}.SwaggerDoc()

var events = table[*corev1.Event]{
	head: head(
		text("Last Seen", eventDoc["lastTimestamp"]),
		text("Type", eventDoc["type"]),
		text("Reason", eventDoc["reason"]),
		text("Object", eventDoc["involvedObject"]),
		wide(text("Subobject", corev1.ObjectReference{}.SwaggerDoc()["fieldPath"])),
		wide(text("Source", eventDoc["source"])),
		text("Message", eventDoc["message"]),
		wide(text("First Seen", eventDoc["firstTimestamp"])),
		wide(number("Count", eventDoc["count"])),
		wide(name())),
	cells: func(e *corev1.Event, now at) []any {
		first, last, count := eventTimes(e, now)
		return []any{last, e.Type, e.Reason, eventObject(e), e.InvolvedObject.FieldPath, eventSource(e),
			strings.TrimSpace(e.Message), first, count, e.Name}
	},
}

// eventTimes says when an event was first and last seen and how often. Older
// events have timestamps and a count, newer ones a time and, when repeated, a
// series.
func eventTimes(e *corev1.Event, now at) (first, last string, count int64) {
	first = now.age(e.FirstTimestamp)
	if e.FirstTimestamp.IsZero() {
		first = now.since(e.EventTime.Time)
	}
	last = now.age(e.LastTimestamp)
	if e.LastTimestamp.IsZero() {
		last = first
	}
	count = int64(e.Count)
	switch {
	case e.Series != nil:
		last, count = now.since(e.Series.LastObservedTime.Time), int64(e.Series.Count)
	case count == 0:
		count = 1
	}
	return first, last, count
}

func eventObject(e *corev1.Event) string {
	kind := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name == "" {
		return kind
	}
	return kind + "/" + e.InvolvedObject.Name
}

func eventSource(e *corev1.Event) string {
	component := or(e.Source.Component, e.ReportingController)
	instance := or(e.Source.Host, e.ReportingInstance)
	if instance == "" {
		return component
	}
	return component + ", " + instance
}
