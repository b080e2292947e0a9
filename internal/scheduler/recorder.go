package scheduler

import (
	"context"
	"fmt"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// maxPendingEvents bounds the memory for events that are not yet written.
	// More are dropped: scheduling never waits for its own commentary.
	maxPendingEvents = 4096
	// routineRate, a second, and routineBurst bound the events that say what every
	// pod's status says as well. An agent that comes to thousands of nodes needs no
	// more of them, and what is out of the ordinary is found more easily. (A
	// kube-scheduler writes 50 a second at most, and drops what it has no time for.)
	routineRate, routineBurst = 100, 1000
	// maxNote and maxEventName are limits of the API, in bytes.
	maxNote      = 1024
	maxEventName = 253
)

// recorder writes events beside the scheduling.
type recorder struct {
	writer  Writer
	clock   clock.PassiveClock
	from    reporter
	pending chan *eventsv1.Event
	routine flowcontrol.PassiveRateLimiter
}

// reporter says who reports.
type reporter struct{ controller, instance string }

// note is what an event says.
type note struct {
	kind, reason, action, text string
	// related is another pod that has to do with it, or nil.
	related *corev1.Pod
	// routine notes are left out when there are many.
	routine bool
}

func newRecorder(writer Writer, clock clock.PassiveClock, from reporter) *recorder {
	return &recorder{
		writer: writer, clock: clock, from: from,
		pending: make(chan *eventsv1.Event, maxPendingEvents),
		routine: flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(routineRate, routineBurst, clock),
	}
}

// record hands an event over to be written, or drops it if too many wait.
func (r *recorder) record(pod *corev1.Pod, n note) {
	if n.routine && !r.routine.TryAccept() {
		return
	}
	select {
	case r.pending <- r.event(pod, n):
	default:
	}
}

// run writes events until ctx is done.
func (r *recorder) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-r.pending:
			if _, err := r.writer.CreateEvent(ctx, event); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).V(2).Info("Event not written", "event", klog.KObj(event), "reason", err.Error())
			}
		}
	}
}

func (r *recorder) event(pod *corev1.Pod, n note) *eventsv1.Event {
	now := r.clock.Now()
	suffix := fmt.Sprintf(".%x", now.UnixNano())
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace,
			Name:      cut(pod.Name, maxEventName-len(suffix)) + suffix,
		},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: r.from.controller,
		ReportingInstance:   r.from.instance,
		Action:              n.action,
		Reason:              n.reason,
		Regarding:           *referTo(pod),
		Note:                cut(n.text, maxNote),
		Type:                n.kind,
	}
	if n.related != nil {
		event.Related = referTo(n.related)
	}
	return event
}

func referTo(pod *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name,
		UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}
}

// cut shortens a text to at most so many bytes, between characters.
func cut(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	for bytes > 0 && !utf8.RuneStart(text[bytes]) {
		bytes--
	}
	return text[:bytes]
}
