// Package writertest is the suite that every writer.Writer must pass, run
// against a real API server. What a server does with a write is tested there;
// here it is that a writer lets it do all of that, and says what came of it.
package writertest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/garrison-project/garrison/internal/writer"
)

// Target is what the suite runs against.
type Target struct {
	Writer writer.Writer
	// Client looks at the API server behind the writer, and prepares it.
	Client kubernetes.Interface
	// Namespace has a service account "default" and is otherwise empty, as is
	// the one named Ending, which is being deleted.
	Namespace, Ending string
	// Node is the name of a node to create.
	Node string
}

// Outcomes says what came of each step of the suite, without what differs from
// run to run. Two writers that behave alike have the same.
type Outcomes map[string]string

// Run runs the suite.
func Run(t *testing.T, target Target) Outcomes {
	s := &suite{Target: target, outcomes: Outcomes{}}
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"CreatePod", s.createPod},
		{"CreatePodRefused", s.createPodRefused},
		{"DeletePod", s.deletePod},
		{"BindPod", s.bindPod},
		{"UpdatePodStatus", s.updatePodStatus},
		{"UpdateNodeStatus", s.updateNodeStatus},
		{"UpdateDaemonSetStatus", s.updateDaemonSetStatus},
		{"Lease", s.lease},
		{"Event", s.event},
	} {
		t.Run(test.name, test.run)
	}
	return s.outcomes
}

type suite struct {
	Target
	outcomes Outcomes
}

// object is a pointer to an API type.
type object interface {
	runtime.Object
	metav1.Object
}

// do makes one write of an object. It checks that the write leaves its argument
// alone and ends as expected: in an error of the given reason, or in none if
// the reason is empty. The result goes into the outcomes.
func do[T object](t *testing.T, s *suite, reason metav1.StatusReason, write func(T) (T, error), arg T) T {
	t.Helper()
	before := arg.DeepCopyObject()
	got, err := write(arg)
	if !apiequality.Semantic.DeepEqual(before, arg) {
		t.Errorf("the argument was changed from %v to %v", before, arg)
	}
	if r := apierrors.ReasonForError(err); r != reason || err != nil && reason == "" {
		t.Fatalf("got %v (reason %q), want reason %q", err, r, reason)
	}
	if err != nil {
		s.record(t, s.failure(err))
		return got
	}
	s.record(t, normal(got))
	return got
}

// record notes the outcome of the next step of t.
func (s *suite) record(t *testing.T, outcome any) {
	t.Helper()
	data, err := json.Marshal(outcome)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; ; i++ {
		step := fmt.Sprintf("%s step %d", lastPart(t.Name()), i)
		if _, taken := s.outcomes[step]; !taken {
			s.outcomes[step] = string(data)
			return
		}
	}
}

// uids matches what differs from run to run in the texts of errors.
var uids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// failure is what a client can see of an error.
func (s *suite) failure(err error) metav1.Status {
	status, ok := err.(apierrors.APIStatus)
	if !ok {
		return metav1.Status{Message: "not an API error: " + err.Error()}
	}
	out := status.Status()
	out.TypeMeta, out.ListMeta = metav1.TypeMeta{}, metav1.ListMeta{}
	out.Message = uids.ReplaceAllString(out.Message, "UID")
	return out
}

// normal is obj without what differs from one write to the next.
func normal(obj object) object {
	out := obj.DeepCopyObject().(object)
	out.SetUID("")
	out.SetResourceVersion("")
	out.SetCreationTimestamp(metav1.Time{})
	if out.GetDeletionTimestamp() != nil {
		out.SetDeletionTimestamp(&metav1.Time{})
	}
	out.SetManagedFields(nil)
	return out
}

func lastPart(name string) string { return name[strings.LastIndex(name, "/")+1:] }

// stored checks that what a write returned is what a client reads.
func stored[T object](t *testing.T, written, read T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("read back: %v", err)
	}
	written, read = written.DeepCopyObject().(T), read.DeepCopyObject().(T)
	written.SetManagedFields(nil)
	read.SetManagedFields(nil)
	if !apiequality.Semantic.DeepEqual(written, read) {
		t.Errorf("returned %v, stored %v", written, read)
	}
}
