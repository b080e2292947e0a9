package simruntime

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

type sandbox struct {
	pod    agent.PodName
	record agent.SandboxRecord
}

func nameOf(pod *corev1.Pod) agent.PodName {
	return agent.PodName{NamespacedName: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, UID: pod.UID}
}

// CreateSandbox implements agent.Runtime.
func (r *Runtime) CreateSandbox(ctx context.Context, config agent.SandboxConfig) (string, error) {
	pod := nameOf(config.Pod)
	if err := r.ask(ctx, Call{Method: "CreateSandbox", Pod: pod, Attempt: config.Attempt}); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sandboxes {
		if s.pod.UID == pod.UID && s.record.Attempt == config.Attempt {
			return "", &agent.Failure{Reason: "FailedCreatePodSandBox", Err: fmt.Errorf("attempt %d of the sandbox of %s exists as %s", config.Attempt, pod, s.record.ID)}
		}
	}
	s := &sandbox{pod: pod, record: agent.SandboxRecord{Sandbox: podstep.Sandbox{
		ID: r.newID("sandbox"), Attempt: config.Attempt, Ready: true, Created: r.clock.Now(),
	}}}
	if !config.Pod.Spec.HostNetwork {
		s.record.IP = fmt.Sprintf("10.88.%d.%d", r.made/256%256, r.made%256)
		s.record.IPs = []string{s.record.IP}
	}
	r.sandboxes[s.record.ID] = s
	r.tell(pod.UID)
	return s.record.ID, nil
}

// StopSandbox implements agent.Runtime.
func (r *Runtime) StopSandbox(ctx context.Context, id string) error {
	if err := r.ask(ctx, r.callOf("StopSandbox", id)); err != nil {
		return err
	}
	r.BreakSandbox(id)
	return nil
}

// BreakSandbox has a sandbox die, and all that runs in it.
func (r *Runtime) BreakSandbox(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[id]
	if s == nil {
		return
	}
	for _, c := range r.containers {
		if c.record.Sandbox == id {
			r.end(c, killedCode, r.clock.Now())
		}
	}
	s.record.Ready, s.record.IP, s.record.IPs = false, "", nil
	r.tell(s.pod.UID)
}

// RemoveSandbox implements agent.Runtime.
func (r *Runtime) RemoveSandbox(ctx context.Context, id string) error {
	if err := r.ask(ctx, r.callOf("RemoveSandbox", id)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[id]
	if s == nil {
		return nil
	}
	if s.record.Ready {
		return fmt.Errorf("remove sandbox %s: it is running", id)
	}
	for cid, c := range r.containers {
		if c.record.Sandbox == id {
			delete(r.containers, cid)
		}
	}
	delete(r.sandboxes, id)
	r.tell(s.pod.UID)
	return nil
}

// callOf describes a call on a sandbox.
func (r *Runtime) callOf(method, id string) Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	call := Call{Method: method, Target: id}
	if s := r.sandboxes[id]; s != nil {
		call.Pod, call.Attempt = s.pod, s.record.Attempt
	}
	return call
}
