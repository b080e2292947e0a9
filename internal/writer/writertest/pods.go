package writertest

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func (s *suite) pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "example.org/agent:1"}}},
	}
}

// boundPod is a pod that a node has, so that its deletion takes time.
func (s *suite) boundPod(name string) *corev1.Pod {
	p := s.pod(name)
	p.Spec.NodeName = s.Node
	return p
}

func (s *suite) create(t *testing.T) func(*corev1.Pod) (*corev1.Pod, error) {
	return func(p *corev1.Pod) (*corev1.Pod, error) { return s.Writer.CreatePod(t.Context(), p) }
}

func (s *suite) readPod(t *testing.T, name string) (*corev1.Pod, error) {
	return s.Client.CoreV1().Pods(s.Namespace).Get(t.Context(), name, metav1.GetOptions{})
}

func (s *suite) createPod(t *testing.T) {
	pod := s.pod("create")
	pod.UID, pod.CreationTimestamp = "mine", metav1.Now()
	pod.Status.Phase = corev1.PodRunning
	got := do(t, s, "", s.create(t), pod)
	if got.UID == "" || got.UID == "mine" || got.ResourceVersion == "" || got.CreationTimestamp.IsZero() {
		t.Errorf("metadata %v", got.ObjectMeta)
	}
	if got.Spec.RestartPolicy != corev1.RestartPolicyAlways || got.Spec.ServiceAccountName != "default" || len(got.Spec.Tolerations) == 0 {
		t.Errorf("defaults or admission are missing: %v", got.Spec)
	}
	if got.Status.Phase != corev1.PodPending {
		t.Errorf("the submitted status was kept: %v", got.Status)
	}
	read, err := s.readPod(t, "create")
	stored(t, got, read, err)
	do(t, s, metav1.StatusReasonAlreadyExists, s.create(t), s.pod("create"))

	generated := s.pod("")
	generated.GenerateName = "generated-"
	named, err := s.Writer.CreatePod(t.Context(), generated)
	if err != nil || !strings.HasPrefix(named.Name, "generated-") || named.Name == "generated-" {
		t.Errorf("generated name: %v, %v", named, err)
	}
}

func (s *suite) createPodRefused(t *testing.T) {
	wrong := s.pod("wrong")
	wrong.Spec.Containers[0].Image = ""
	wrong.Spec.RestartPolicy = "Sometimes"
	do(t, s, metav1.StatusReasonInvalid, s.create(t), wrong)
	if _, err := s.readPod(t, "wrong"); !apierrors.IsNotFound(err) {
		t.Errorf("an invalid pod: %v", err)
	}
	important := s.pod("important")
	important.Spec.PriorityClassName = "unknown"
	do(t, s, metav1.StatusReasonForbidden, s.create(t), important)

	homeless := s.pod("homeless")
	homeless.Namespace = "nowhere"
	do(t, s, metav1.StatusReasonNotFound, s.create(t), homeless)

	late := s.pod("late")
	late.Namespace = s.Ending
	_, err := s.Writer.CreatePod(t.Context(), late)
	if !apierrors.IsForbidden(err) || !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("in a namespace that ends: %v", err)
	}
}

func (s *suite) delete(t *testing.T, name string, options metav1.DeleteOptions) error {
	return s.Writer.DeletePod(t.Context(), types.NamespacedName{Namespace: s.Namespace, Name: name}, options)
}

func (s *suite) deletePod(t *testing.T) {
	pod, err := s.Writer.CreatePod(t.Context(), s.boundPod("delete"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pod     string
		options metav1.DeleteOptions
		reason  metav1.StatusReason
	}{
		{"unknown", metav1.DeleteOptions{}, metav1.StatusReasonNotFound},
		{"delete", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(types.UID("another"))}}, metav1.StatusReasonConflict},
		{"delete", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: ptr.To("1")}}, metav1.StatusReasonConflict},
		{"delete", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletionPropagation("Sideways"))}, metav1.StatusReasonInvalid},
	} {
		err := s.delete(t, c.pod, c.options)
		if apierrors.ReasonForError(err) != c.reason {
			t.Fatalf("delete %s with %v: %v, want %s", c.pod, c.options, err, c.reason)
		}
		status := s.failure(err)
		status.Message = strings.ReplaceAll(status.Message, pod.ResourceVersion, "VERSION")
		s.record(t, status)
	}
	if err := s.delete(t, "delete", metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	ending, err := s.readPod(t, "delete")
	if err != nil || ending.DeletionTimestamp == nil || *ending.DeletionGracePeriodSeconds != 30 {
		t.Fatalf("a bound pod is given its time: %v, %v", ending, err)
	}
	s.record(t, normal(ending))
	if err := s.delete(t, "delete", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Errorf("delete at once: %v", err)
	}
	if _, err := s.readPod(t, "delete"); !apierrors.IsNotFound(err) {
		t.Errorf("after delete at once: %v", err)
	}
}

func (s *suite) bindPod(t *testing.T) {
	if _, err := s.Writer.CreatePod(t.Context(), s.pod("bind")); err != nil {
		t.Fatal(err)
	}
	bind := func(b *corev1.Binding) (*corev1.Binding, error) { return b, s.Writer.BindPod(t.Context(), b) }
	binding := func(name string) *corev1.Binding {
		return &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name},
			Target:     corev1.ObjectReference{Kind: "Node", Name: s.Node},
		}
	}
	do(t, s, metav1.StatusReasonNotFound, bind, binding("unknown"))
	do(t, s, metav1.StatusReasonInvalid, bind, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "bind"},
		Target:     corev1.ObjectReference{Kind: "Node"},
	})
	do(t, s, "", bind, binding("bind"))
	pod, err := s.readPod(t, "bind")
	if err != nil || pod.Spec.NodeName != s.Node {
		t.Fatalf("bound: %v, %v", pod, err)
	}
	do(t, s, metav1.StatusReasonConflict, bind, binding("bind"))
}

func (s *suite) updatePodStatus(t *testing.T) {
	update := func(p *corev1.Pod) (*corev1.Pod, error) { return s.Writer.UpdatePodStatus(t.Context(), p) }
	do(t, s, metav1.StatusReasonNotFound, update, s.pod("unknown"))

	first, err := s.Writer.CreatePod(t.Context(), s.boundPod("status"))
	if err != nil {
		t.Fatal(err)
	}
	running := first.DeepCopy()
	running.Status.Phase = corev1.PodRunning
	running.Spec.Containers[0].Image = "example.org/another:1"
	got := do(t, s, "", update, running)
	if got.Status.Phase != corev1.PodRunning || got.Spec.Containers[0].Image != "example.org/agent:1" || got.ResourceVersion == first.ResourceVersion {
		t.Errorf("updated %v", got)
	}
	read, err := s.readPod(t, "status")
	stored(t, got, read, err)

	do(t, s, metav1.StatusReasonConflict, update, running)
	blind := running.DeepCopy()
	blind.ResourceVersion = ""
	blind.Status.Phase = corev1.PodSucceeded
	if got := do(t, s, "", update, blind); got.Status.Phase != corev1.PodSucceeded {
		t.Errorf("without a version: %v", got.Status)
	}
	recreated := blind.DeepCopy()
	recreated.UID = "another"
	do(t, s, metav1.StatusReasonConflict, update, recreated)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Writer.UpdatePodStatus(ctx, blind); err == nil {
		t.Error("an update whose caller has given up succeeds")
	}
}
