package api

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// An event is stored once, as a core/v1 Event, and served by two groups. The
// internal version of events.k8s.io is therefore core's type, and the server
// converts at its edge.
var eventsInternal = schema.GroupVersion{Group: eventsv1.GroupName, Version: runtime.APIVersionInternal}

// ownInternal lists the kinds whose internal version is another Go type.
var ownInternal = map[schema.GroupVersionKind]bool{
	eventsInternal.WithKind("Event"):     true,
	eventsInternal.WithKind("EventList"): true,
}

func addEventConversions(s *runtime.Scheme) error {
	s.AddKnownTypeWithName(eventsInternal.WithKind("Event"), &corev1.Event{})
	s.AddKnownTypeWithName(eventsInternal.WithKind("EventList"), &corev1.EventList{})
	for _, err := range []error{
		convert(s, EventToCore),
		convert(s, EventFromCore),
		convert(s, eventListToCore),
		convert(s, eventListFromCore),
	} {
		if err != nil {
			return fmt.Errorf("register event conversions: %w", err)
		}
	}
	return nil
}

// convert registers f as the conversion from In to Out.
func convert[In, Out any](s *runtime.Scheme, f func(in *In, out *Out)) error {
	return s.AddConversionFunc((*In)(nil), (*Out)(nil), func(a, b any, _ conversion.Scope) error {
		f(a.(*In), b.(*Out))
		return nil
	})
}

// EventToCore fills out with the form in which event in is stored. The two
// share what they point to.
func EventToCore(in *eventsv1.Event, out *corev1.Event) {
	*out = corev1.Event{
		ObjectMeta:          in.ObjectMeta,
		InvolvedObject:      in.Regarding,
		Related:             in.Related,
		Reason:              in.Reason,
		Message:             in.Note,
		Type:                in.Type,
		Action:              in.Action,
		EventTime:           in.EventTime,
		ReportingController: in.ReportingController,
		ReportingInstance:   in.ReportingInstance,
		Source:              in.DeprecatedSource,
		FirstTimestamp:      in.DeprecatedFirstTimestamp,
		LastTimestamp:       in.DeprecatedLastTimestamp,
		Count:               in.DeprecatedCount,
	}
	if in.Series != nil {
		out.Series = &corev1.EventSeries{Count: in.Series.Count, LastObservedTime: in.Series.LastObservedTime}
	}
}

// EventFromCore is the inverse of EventToCore.
func EventFromCore(in *corev1.Event, out *eventsv1.Event) {
	*out = eventsv1.Event{
		ObjectMeta:               in.ObjectMeta,
		Regarding:                in.InvolvedObject,
		Related:                  in.Related,
		Reason:                   in.Reason,
		Note:                     in.Message,
		Type:                     in.Type,
		Action:                   in.Action,
		EventTime:                in.EventTime,
		ReportingController:      in.ReportingController,
		ReportingInstance:        in.ReportingInstance,
		DeprecatedSource:         in.Source,
		DeprecatedFirstTimestamp: in.FirstTimestamp,
		DeprecatedLastTimestamp:  in.LastTimestamp,
		DeprecatedCount:          in.Count,
	}
	if in.Series != nil {
		out.Series = &eventsv1.EventSeries{Count: in.Series.Count, LastObservedTime: in.Series.LastObservedTime}
	}
}

func eventListToCore(in *eventsv1.EventList, out *corev1.EventList) {
	out.ListMeta = in.ListMeta
	out.Items = convertItems(in.Items, EventToCore)
}

func eventListFromCore(in *corev1.EventList, out *eventsv1.EventList) {
	out.ListMeta = in.ListMeta
	out.Items = convertItems(in.Items, EventFromCore)
}

// convertItems keeps nil apart from empty: an empty list must be served as
// "items": [], which the encoder makes of either.
func convertItems[In, Out any](in []In, f func(*In, *Out)) []Out {
	if in == nil {
		return nil
	}
	out := make([]Out, len(in))
	for i := range in {
		f(&in[i], &out[i])
	}
	return out
}
