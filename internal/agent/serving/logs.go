package serving

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/logs"
	"github.com/garrison-project/garrison/internal/api"
	"github.com/garrison-project/garrison/internal/api/validation"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// serveLog writes the output of a container.
func (s *Server) serveLog(w http.ResponseWriter, r *http.Request) {
	name, container := r.PathValue("pod"), r.PathValue("container")
	var options corev1.PodLogOptions
	if err := api.ParameterCodec.DecodeParameters(r.URL.Query(), corev1.SchemeGroupVersion, &options); err != nil {
		fail(w, http.StatusBadRequest, `{"message": "Unable to decode query."}`)
		return
	}
	if errs := validation.PodLogOptions(&options); len(errs) > 0 {
		fail(w, http.StatusUnprocessableEntity, `{"message": "Invalid request."}`)
		return
	}
	found, ok := s.Pods.Find(nameOf(r), "")
	if !ok {
		fail(w, http.StatusNotFound, fmt.Sprintf("pod %q does not exist", name))
		return
	}
	if !hasContainer(found.Object, container) {
		fail(w, http.StatusNotFound, fmt.Sprintf("container %q not found in pod %q", container, name))
		return
	}
	record, err := attempt(found, container, options.Previous)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	request := logs.OptionsFrom(&options, time.Now())
	if options.Follow {
		request.Running = func() bool { return s.runs(found, record.ID) }
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := &eager{ResponseWriter: w, rc: http.NewResponseController(w), follow: options.Follow}
	out.begin()
	if err := logs.Read(r.Context(), record.LogPath, request, out); err != nil && r.Context().Err() == nil {
		if !out.begun {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
		klog.FromContext(r.Context()).V(2).Info("A log was not written to its end", "pod", klog.KObj(found.Object), "container", container, "reason", err)
	}
}

// runs tells whether a container of a pod still runs.
func (s *Server) runs(pod agent.Found, id string) bool {
	found, ok := s.Pods.Find(podName(pod.Object), pod.Object.UID)
	if !ok {
		return false
	}
	for _, c := range found.Holding.Containers {
		if c.ID == id {
			return c.State == podstep.Running || c.State == podstep.Unknown
		}
	}
	return false
}

// eager passes on at once what is written, if it is followed: who follows a log
// sees each line, and that there is one before there are any.
type eager struct {
	http.ResponseWriter
	rc            *http.ResponseController
	follow, begun bool
}

func (e *eager) begin() {
	if e.follow {
		e.begun = true
		e.rc.Flush()
	}
}

func (e *eager) Write(p []byte) (int, error) {
	e.begun = true
	n, err := e.ResponseWriter.Write(p)
	if err == nil && e.follow {
		err = e.rc.Flush()
	}
	return n, err
}

// attempt is the attempt of a container whose log is meant: the one before the
// last if previous is set, else the one that runs, or else the last that did. An
// error says, in the words of kubelets, why there is none.
func attempt(pod agent.Found, container string, previous bool) (agent.ContainerRecord, error) {
	name := pod.Object.Name
	status := containerStatus(&pod.Object.Status, container)
	if previous {
		return previousAttempt(pod, container, status)
	}
	if record, ok := pod.Container(container, false); ok {
		return record, nil
	}
	problem := func(format string, args ...any) (agent.ContainerRecord, error) {
		return agent.ContainerRecord{}, fmt.Errorf("container %q in pod %q is "+format, append([]any{container, name}, args...)...)
	}
	switch {
	case status == nil:
		return problem("not available")
	case status.State.Terminated != nil || status.LastTerminationState.Terminated != nil || status.State.Running != nil:
		return problem("terminated")
	case status.State.Waiting == nil:
		return problem("waiting to start - no logs yet")
	}
	switch reason := status.State.Waiting.Reason; reason {
	case "ErrImagePull":
		return problem("waiting to start: image can't be pulled")
	case "ImagePullBackOff":
		return problem("waiting to start: trying and failing to pull image")
	default:
		return problem("waiting to start: %s", reason)
	}
}

// previousAttempt is the last attempt that ended, besides the one that is the
// container's current state.
func previousAttempt(pod agent.Found, container string, status *corev1.ContainerStatus) (agent.ContainerRecord, error) {
	if status != nil && status.LastTerminationState.Terminated != nil {
		id := status.LastTerminationState.Terminated.ContainerID
		for _, c := range pod.Holding.Containers {
			if c.Name == container && strings.HasSuffix(id, "://"+c.ID) {
				return c, nil
			}
		}
	}
	return agent.ContainerRecord{}, fmt.Errorf("previous terminated container %q in pod %q not found", container, pod.Object.Name)
}

func containerStatus(status *corev1.PodStatus, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{status.ContainerStatuses, status.InitContainerStatuses, status.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
