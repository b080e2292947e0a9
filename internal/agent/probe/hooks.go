package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/view"
)

// Hooks runs lifecycle handlers. It implements agent.Hooks.
type Hooks struct {
	exec     Executor
	recorder record.EventRecorder
	client   *http.Client
}

var _ agent.Hooks = (*Hooks)(nil)

// NewHooks makes one that runs commands by exec, and writes events to recorder.
func NewHooks(exec Executor, recorder record.EventRecorder) *Hooks {
	return &Hooks{exec: exec, recorder: recorder, client: &http.Client{Transport: newTransport(), CheckRedirect: stayLocal}}
}

// Run runs a handler; see agent.Hooks. What a command prints is left out of the
// error, as it may be secret.
func (h *Hooks) Run(ctx context.Context, hook agent.HookRequest) error {
	switch handler := hook.Handler; {
	case handler.Exec != nil:
		result, err := h.exec.Exec(ctx, hook.ContainerID, handler.Exec.Command)
		if err != nil {
			return fmt.Errorf("exec hook of container %s: %w", hook.Spec.Name, err)
		}
		if result.ExitCode != 0 {
			return fmt.Errorf("exec hook of container %s: command exited with code %d", hook.Spec.Name, result.ExitCode)
		}
		return nil
	case handler.HTTPGet != nil:
		if err := h.get(ctx, hook); err != nil {
			return fmt.Errorf("http hook of container %s: %w", hook.Spec.Name, err)
		}
		return nil
	case handler.Sleep != nil:
		timer := time.NewTimer(view.Seconds(handler.Sleep.Seconds))
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("sleep hook of container %s: ended before its %d seconds were over: %w", hook.Spec.Name, handler.Sleep.Seconds, ctx.Err())
		}
	}
	// The API says that tcpSocket, which it takes, fails here.
	return fmt.Errorf("the hook of container %s has no handler that can be run: it must be exec, httpGet or sleep", hook.Spec.Name)
}

// get sends the request of a hook; any response will do. A server that speaks
// HTTP where HTTPS is asked for gets the request once more, without what only a
// secure one may see.
func (h *Hooks) get(ctx context.Context, hook agent.HookRequest) error {
	request, err := newRequest(ctx, httpGet{hook.Handler.HTTPGet, hook.Spec, hook.PodIP, "lifecycle"})
	if err != nil {
		return err
	}
	response, err := h.client.Do(request)
	if errors.Is(err, http.ErrSchemeMismatch) {
		request = request.Clone(ctx)
		request.URL.Scheme = "http"
		request.Header.Del("Authorization")
		if response, err = h.client.Do(request); err == nil {
			h.recorder.Eventf(podReference(hook.Pod), corev1.EventTypeWarning, "LifecycleHTTPFallback",
				"request to HTTPS lifecycle hook %s got HTTP response, retry with HTTP succeeded", request.URL.Host)
		}
	}
	if err != nil {
		return err
	}
	return response.Body.Close()
}
