package api_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/garrison-project/garrison/internal/api"
)

func TestEachTypeIsInternalToo(t *testing.T) {
	for _, gv := range api.GroupVersions() {
		for kind, typ := range api.Scheme.KnownTypes(gv) {
			gvk := schema.GroupVersionKind{Group: gv.Group, Version: runtime.APIVersionInternal, Kind: kind}
			obj, err := api.Scheme.New(gvk)
			switch {
			case typ.PkgPath() == reflect.TypeFor[metav1.ListOptions]().PkgPath():
			case err != nil:
				t.Error(err)
			case gv == eventsv1.SchemeGroupVersion:
				if reflect.TypeOf(obj).Elem() == typ {
					t.Errorf("%s is %v, not the type that is stored", gvk, typ)
				}
			case reflect.TypeOf(obj).Elem() != typ:
				t.Errorf("%s is a %T, want %v", gvk, obj, typ)
			}
		}
	}
}

func TestOpenAPIKnowsNoInternalTypes(t *testing.T) {
	for gvk, typ := range api.OpenAPIScheme().AllKnownTypes() {
		if gvk.Version == runtime.APIVersionInternal && gvk.Kind != metav1.WatchEventKind {
			t.Errorf("%s (%v) would show in the documents", gvk, typ)
		}
	}
}

// TestDecodeDefaults wants what comes in as JSON to leave the decoder complete
// and internal.
func TestDecodeDefaults(t *testing.T) {
	raw := `{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"a"},"spec":{}}`
	internal := schema.GroupVersion{Group: appsv1.GroupName, Version: runtime.APIVersionInternal}
	obj, err := runtime.Decode(api.Codecs.DecoderToVersion(api.Codecs.UniversalDeserializer(), internal), []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	ds, ok := obj.(*appsv1.DaemonSet)
	if !ok {
		t.Fatalf("decoded a %T", obj)
	}
	if ds.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || *ds.Spec.RevisionHistoryLimit != 10 {
		t.Errorf("spec is %+v", ds.Spec)
	}
}

// fullEvent has every field set, which TestEventRoundTrip checks.
func fullEvent() *corev1.Event {
	at := metav1.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	return &corev1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: "n", Namespace: "ns"},
		InvolvedObject:      corev1.ObjectReference{Kind: "Pod", Name: "p"},
		Reason:              "Reason",
		Message:             "message",
		Source:              corev1.EventSource{Component: "c", Host: "h"},
		FirstTimestamp:      at,
		LastTimestamp:       metav1.NewTime(at.Add(time.Minute)),
		Count:               3,
		Type:                "Normal",
		EventTime:           metav1.NewMicroTime(at.Add(time.Second)),
		Series:              &corev1.EventSeries{Count: 4, LastObservedTime: metav1.NewMicroTime(at.Add(time.Hour))},
		Action:              "Act",
		Related:             &corev1.ObjectReference{Kind: "Node", Name: "m"},
		ReportingController: "rc",
		ReportingInstance:   "ri",
	}
}

func TestEventRoundTrip(t *testing.T) {
	want := fullEvent()
	mustBeFull(t, *want, "TypeMeta")
	var shown eventsv1.Event
	api.EventFromCore(want, &shown)
	mustBeFull(t, shown, "TypeMeta")
	var got corev1.Event
	api.EventToCore(&shown, &got)
	if d := cmp.Diff(want, &got); d != "" {
		t.Errorf("there and back (-want +got):\n%s", d)
	}
	if shown.Note != want.Message || shown.Regarding != want.InvolvedObject || shown.DeprecatedCount != want.Count {
		t.Errorf("shown as %+v", shown)
	}
}

// mustBeFull fails if a field of the struct v is zero, but for those named.
func mustBeFull(t *testing.T, v any, except ...string) {
	t.Helper()
	r := reflect.ValueOf(v)
fields:
	for i := range r.NumField() {
		name := r.Type().Field(i).Name
		for _, e := range except {
			if e == name {
				continue fields
			}
		}
		if r.Field(i).IsZero() {
			t.Errorf("%T has no %s", v, name)
		}
	}
}

func TestEventListConverts(t *testing.T) {
	list := &corev1.EventList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}, Items: []corev1.Event{*fullEvent(), {}}}
	obj, err := api.Scheme.ConvertToVersion(list, eventsv1.SchemeGroupVersion)
	if err != nil {
		t.Fatal(err)
	}
	shown, ok := obj.(*eventsv1.EventList)
	if !ok {
		t.Fatalf("converted to %T", obj)
	}
	if len(shown.Items) != 2 || shown.ResourceVersion != "7" || shown.Items[0].Note != "message" || shown.Kind != "EventList" {
		t.Errorf("shown as %+v", shown)
	}
	back := &corev1.EventList{}
	if err := api.Scheme.Convert(shown, back, nil); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(list, back); d != "" {
		t.Errorf("there and back (-want +got):\n%s", d)
	}
}

func TestFieldLabels(t *testing.T) {
	for _, c := range []struct {
		gvk           schema.GroupVersionKind
		label, stored string // stored is empty where the label is not supported
	}{
		{corev1.SchemeGroupVersion.WithKind("Pod"), "spec.nodeName", "spec.nodeName"},
		{corev1.SchemeGroupVersion.WithKind("Pod"), "spec.host", "spec.nodeName"},
		{corev1.SchemeGroupVersion.WithKind("Pod"), "metadata.namespace", "metadata.namespace"},
		{corev1.SchemeGroupVersion.WithKind("Pod"), "spec.nodename", ""},
		{corev1.SchemeGroupVersion.WithKind("Node"), "spec.unschedulable", "spec.unschedulable"},
		{corev1.SchemeGroupVersion.WithKind("Namespace"), "status.phase", "status.phase"},
		{eventsv1.SchemeGroupVersion.WithKind("Event"), "regarding.uid", "involvedObject.uid"},
		{eventsv1.SchemeGroupVersion.WithKind("Event"), "source", ""},
		{appsv1.SchemeGroupVersion.WithKind("DaemonSet"), "metadata.name", "metadata.name"},
		{appsv1.SchemeGroupVersion.WithKind("DaemonSet"), "spec.minReadySeconds", ""},
	} {
		label, value, err := api.Scheme.ConvertFieldLabel(c.gvk, c.label, "v")
		if c.stored == "" {
			if err == nil {
				t.Errorf("%s: %s became %s", c.gvk.Kind, c.label, label)
			}
			continue
		}
		if err != nil || label != c.stored || value != "v" {
			t.Errorf("%s: %s became %s=%s, %v", c.gvk.Kind, c.label, label, value, err)
		}
	}
}
