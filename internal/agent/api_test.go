package agent_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	fcache "k8s.io/client-go/tools/cache/testing"
	"k8s.io/utils/ptr"
)

// api has the pods of one node, as an API server would.
type api struct {
	source *fcache.FakeControllerSource

	mu      sync.Mutex
	pods    map[types.NamespacedName]*corev1.Pod
	made    int // UIDs given
	failing error
	wrote   func(what string)
}

func newAPI(wrote func(string)) *api {
	return &api{source: fcache.NewFakeControllerSource(), pods: map[types.NamespacedName]*corev1.Pod{}, wrote: wrote}
}

// informer is one agent's view of the pods.
func (s *api) informer() cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(s.source, &corev1.Pod{}, 0, cache.Indexers{})
}

// all are the pods, by name.
func (s *api) all() []*corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.pods), func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
}

func nameOf(pod *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
}

func notFound(name types.NamespacedName) error {
	return apierrors.NewNotFound(corev1.Resource("pods"), name.Name)
}

func conflict(name types.NamespacedName) error {
	return apierrors.NewConflict(corev1.Resource("pods"), name.Name, fmt.Errorf("the pod has changed"))
}

func (s *api) get(name types.NamespacedName) *corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pods[name]
}

// store keeps a version of a pod and tells all who watch. The source sets its
// version.
func (s *api) store(pod *corev1.Pod, added bool) *corev1.Pod {
	stored := pod.DeepCopy()
	s.pods[nameOf(pod)] = stored
	if added {
		s.source.Add(stored)
	} else {
		s.source.Modify(stored)
	}
	return stored.DeepCopy()
}

func (s *api) CreatePod(_ context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := nameOf(pod)
	if s.failing != nil {
		return nil, s.failing
	}
	if s.pods[name] != nil {
		return nil, apierrors.NewAlreadyExists(corev1.Resource("pods"), name.Name)
	}
	pod = pod.DeepCopy()
	s.made++
	pod.UID = types.UID(fmt.Sprintf("uid-%d", s.made))
	pod.Generation = 1
	pod.CreationTimestamp = metav1.Now()
	pod.Status.Phase = corev1.PodPending
	s.wrote("api: create " + name.Name)
	return s.store(pod, true), nil
}

// change is what others do to a pod.
func (s *api) change(name types.NamespacedName, how func(*corev1.Pod)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.pods[name].DeepCopy()
	how(changed)
	s.store(changed, false)
}

// fail has all writes fail, until it is told nil.
func (s *api) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = err
}

func (s *api) UpdatePodStatus(_ context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := nameOf(pod)
	stored := s.pods[name]
	switch {
	case s.failing != nil:
		return nil, s.failing
	case stored == nil:
		return nil, notFound(name)
	case stored.UID != pod.UID || stored.ResourceVersion != pod.ResourceVersion:
		return nil, conflict(name)
	}
	changed := stored.DeepCopy()
	changed.Status = *pod.Status.DeepCopy()
	s.wrote(fmt.Sprintf("api: status of %s: %s", name.Name, summary(&changed.Status)))
	return s.store(changed, false), nil
}

func (s *api) DeletePod(_ context.Context, name types.NamespacedName, options metav1.DeleteOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := s.pods[name]
	switch {
	case s.failing != nil:
		return s.failing
	case stored == nil:
		return notFound(name)
	case options.Preconditions != nil && *options.Preconditions.UID != stored.UID:
		return conflict(name)
	}
	s.wrote(fmt.Sprintf("api: delete %s, grace %d", name.Name, *options.GracePeriodSeconds))
	marked := stored.DeepCopy()
	marked.DeletionGracePeriodSeconds = options.GracePeriodSeconds
	marked.DeletionTimestamp = ptr.To(metav1.NewTime(time.Now().Add(time.Duration(*options.GracePeriodSeconds) * time.Second)))
	if *options.GracePeriodSeconds > 0 || len(marked.Finalizers) > 0 {
		marked.Generation++
		s.store(marked, false)
		return nil
	}
	delete(s.pods, name)
	s.source.Delete(marked)
	return nil
}

// summary is a status in one line.
func summary(s *corev1.PodStatus) string {
	out := string(s.Phase)
	if s.Reason != "" {
		out += " " + s.Reason
	}
	ready := slices.ContainsFunc(s.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	if ready {
		out += " ready"
	}
	for _, c := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses) {
		out += fmt.Sprintf(" %s=", c.Name)
		switch state := c.State; {
		case state.Waiting != nil:
			out += state.Waiting.Reason
		case state.Running != nil:
			out += "running"
		default:
			out += fmt.Sprintf("%s(%d)", state.Terminated.Reason, state.Terminated.ExitCode)
		}
		if c.RestartCount > 0 {
			out += fmt.Sprintf("/%d", c.RestartCount)
		}
	}
	return out
}
