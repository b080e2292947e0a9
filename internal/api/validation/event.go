package validation

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The longest texts in an event, in bytes.
const (
	maxEventWord = 128
	maxEventNote = 1024
)

// What the two groups that serve events call the reporter's name.
const (
	coreReporter = "reportingComponent"
	v1Reporter   = "reportingController"
)

// Event checks a new event that came through the core group, which asks for
// little so that old clients go on working.
func Event(event *corev1.Event) field.ErrorList { return anyEvent(event, coreReporter) }

// EventUpdate checks a changed event that came through the core group.
func EventUpdate(event, _ *corev1.Event) field.ErrorList { return anyEvent(event, coreReporter) }

// EventsV1Event checks a new event that came through events.k8s.io/v1, in the
// form in which it is stored.
func EventsV1Event(event *corev1.Event) field.ErrorList {
	f := faults{list: anyEvent(event, v1Reporter)}
	f.add(namespaced(&event.ObjectMeta, apivalidation.NameIsDNSSubdomain)...)
	f.eventSeries(event.Series)
	if event.EventTime.IsZero() {
		f.required(field.NewPath("eventTime"), "")
	}
	if event.Type != corev1.EventTypeNormal && event.Type != corev1.EventTypeWarning {
		f.invalid(field.NewPath("type"), "", fmt.Sprintf("has invalid value: %v", event.Type))
	}
	for _, old := range []setting{
		{"firstTimestamp", !event.FirstTimestamp.IsZero()},
		{"lastTimestamp", !event.LastTimestamp.IsZero()},
		{"count", event.Count != 0},
		{"source", event.Source != corev1.EventSource{}},
	} {
		if old.set {
			f.invalid(field.NewPath(old.path), "", "needs to be unset")
		}
	}
	return f.list
}

// EventsV1EventUpdate checks a changed event that came through
// events.k8s.io/v1, in the form in which it is stored: only the series may
// change.
func EventsV1EventUpdate(event, old *corev1.Event) field.ErrorList {
	f := faults{list: anyEvent(event, v1Reporter)}
	f.add(metaUpdate(&event.ObjectMeta, &old.ObjectMeta)...)
	if !sameSeries(event.Series, old.Series) {
		f.eventSeries(event.Series)
	}
	keep := func(name string, value, old any) { f.add(unchanged(value, old, field.NewPath(name))...) }
	keep("involvedObject", event.InvolvedObject, old.InvolvedObject)
	keep("reason", event.Reason, old.Reason)
	keep("message", event.Message, old.Message)
	keep("source", event.Source, old.Source)
	keep("firstTimestamp", event.FirstTimestamp, old.FirstTimestamp)
	keep("lastTimestamp", event.LastTimestamp, old.LastTimestamp)
	keep("count", event.Count, old.Count)
	keep("type", event.Type, old.Type)
	// Finer than a microsecond, a time does not survive being written as text.
	if !event.EventTime.Truncate(time.Microsecond).Equal(old.EventTime.Truncate(time.Microsecond)) {
		keep("eventTime", event.EventTime, old.EventTime)
	}
	keep("action", event.Action, old.Action)
	keep("related", event.Related, old.Related)
	keep("reportingController", event.ReportingController, old.ReportingController)
	keep("reportingInstance", event.ReportingInstance, old.ReportingInstance)
	return f.list
}

func sameSeries(a, b *corev1.EventSeries) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Count == b.Count && a.LastObservedTime.Equal(&b.LastObservedTime)
}

func (f *faults) eventSeries(series *corev1.EventSeries) {
	if series == nil {
		return
	}
	if series.Count < 2 {
		f.invalid(field.NewPath("series.count"), "", "should be at least 2")
	}
	if series.LastObservedTime.IsZero() {
		f.required(field.NewPath("series.lastObservedTime"), "")
	}
}

// anyEvent checks what holds for all events. One that has an eventTime is of
// the newer sort, whichever way it came.
func anyEvent(event *corev1.Event, reporter string) field.ErrorList {
	var f faults
	about := event.InvolvedObject.Namespace
	astray := func() {
		f.invalid(field.NewPath("involvedObject", "namespace"), about, "does not match event.namespace")
	}
	switch {
	case event.EventTime.IsZero() && about != "":
		if event.Namespace != about {
			astray()
		}
	case event.EventTime.IsZero():
		if event.Namespace != "" && event.Namespace != metav1.NamespaceDefault {
			astray()
		}
	default:
		if about == "" && event.Namespace != metav1.NamespaceDefault && event.Namespace != metav1.NamespaceSystem {
			astray()
		}
		f.reporter(event, field.NewPath(reporter))
	}
	f.messages(field.NewPath("namespace"), event.Namespace, validation.IsDNS1123Subdomain(event.Namespace))
	return f.list
}

// reporter checks who saw what, and the length of it.
func (f *faults) reporter(event *corev1.Event, at *field.Path) {
	f.needs(at, event.ReportingController)
	f.qualifiedName(at, event.ReportingController)
	f.eventWord("reportingInstance", event.ReportingInstance)
	f.eventWord("action", event.Action)
	f.eventWord("reason", event.Reason)
	if len(event.Message) > maxEventNote {
		f.invalid(field.NewPath("message"), "", fmt.Sprintf("can have at most %v characters", maxEventNote))
	}
}

func (f *faults) eventWord(name, value string) {
	f.needs(field.NewPath(name), value)
	if len(value) > maxEventWord {
		f.invalid(field.NewPath(name), "", fmt.Sprintf("can have at most %v characters", maxEventWord))
	}
}
