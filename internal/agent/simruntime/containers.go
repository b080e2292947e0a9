package simruntime

import (
	"context"
	"fmt"
	"time"

	"k8s.io/utils/clock"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

const (
	killedCode     = 128 + 9 // of what ended by signal 9
	startErrorCode = 128
)

type container struct {
	pod    agent.PodName
	record agent.ContainerRecord
	script Script
	ended  chan struct{} // closed at its end
	timers []clock.Timer // what may end it
}

// StartContainer implements agent.Runtime.
func (r *Runtime) StartContainer(ctx context.Context, config agent.ContainerConfig) (string, error) {
	pod := nameOf(config.Pod)
	if err := r.ask(ctx, Call{Method: "StartContainer", Pod: pod, Target: config.Spec.Name, Attempt: config.Attempt}); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	script, err := r.mayCreate(config)
	if err != nil {
		return "", &agent.Failure{Reason: "CreateContainerError", Err: err}
	}
	now := r.clock.Now()
	c := &container{pod: pod, script: script, ended: make(chan struct{}), record: agent.ContainerRecord{
		Record: podstep.Record{
			ID: r.newID("container"), Sandbox: config.Sandbox, Name: config.Spec.Name, Attempt: config.Attempt,
			State: podstep.Running, Hash: config.Hash, Started: now,
		},
		Image: config.Spec.Image, ImageID: config.ImageID,
		LogPath: fmt.Sprintf("%s/%s/%d.log", config.LogDirectory, config.Spec.Name, config.Attempt),
	}}
	r.containers[c.record.ID] = c
	if script.StartError != "" {
		r.end(c, startErrorCode, now)
		c.record.Started = time.Time{}
		c.record.Reason, c.record.Message = "StartError", script.StartError
		return c.record.ID, &agent.Failure{Reason: "RunContainerError", Err: fmt.Errorf("failed to start container %q: %s", c.record.ID, script.StartError)}
	}
	if script.Ends {
		r.endAfter(c, script.After, script.ExitCode)
	}
	r.tell(pod.UID)
	return c.record.ID, nil
}

// mayCreate checks what a runtime checks before it creates a container.
func (r *Runtime) mayCreate(config agent.ContainerConfig) (Script, error) {
	if s := r.sandboxes[config.Sandbox]; s == nil || !s.record.Ready {
		return Script{}, fmt.Errorf("sandbox %q is not running", config.Sandbox)
	}
	present := false
	for _, image := range r.images {
		present = present || image.ID == config.ImageID
	}
	if !present {
		return Script{}, fmt.Errorf("image %q is not present", config.ImageID)
	}
	for _, c := range r.containers {
		if c.pod.UID == config.Pod.UID && c.record.Name == config.Spec.Name && c.record.Attempt == config.Attempt {
			return Script{}, fmt.Errorf("attempt %d of container %s exists as %s", config.Attempt, config.Spec.Name, c.record.ID)
		}
	}
	command := append(append([]string{}, config.Command...), config.Args...)
	return parse(command, r.other)
}

// endAfter ends a container in a while, if nothing else does before.
func (r *Runtime) endAfter(c *container, after time.Duration, code int32) {
	at := r.clock.Now().Add(after)
	if after <= 0 {
		r.end(c, code, at)
		return
	}
	c.timers = append(c.timers, r.clock.AfterFunc(after, func() {
		go func() { // a fake clock calls while it is locked
			r.mu.Lock()
			defer r.mu.Unlock()
			r.end(c, code, at)
		}()
	}))
}

// end ends a container, with the lock held.
func (r *Runtime) end(c *container, code int32, at time.Time) {
	if c.record.State == podstep.Exited {
		return
	}
	for _, t := range c.timers {
		t.Stop()
	}
	c.record.State, c.record.ExitCode, c.record.Finished = podstep.Exited, code, at
	c.record.Reason, c.record.Message = c.script.Reason, c.script.Message
	if c.record.Reason == "" {
		c.record.Reason = "Completed"
		if code != 0 {
			c.record.Reason = "Error"
		}
	}
	close(c.ended)
	r.tell(c.pod.UID)
}

// Exit has a container end with a code, as if by itself.
func (r *Runtime) Exit(id string, code int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[id]; c != nil {
		r.end(c, code, r.clock.Now())
	}
}

// KillContainer implements agent.Runtime.
func (r *Runtime) KillContainer(ctx context.Context, id string, grace time.Duration) error {
	c, call := r.find("KillContainer", id)
	if err := r.ask(ctx, call); err != nil || c == nil {
		return err
	}
	r.mu.Lock()
	if c.record.State == podstep.Running {
		if grace > 0 && !c.script.IgnoreTerm {
			r.endAfter(c, c.script.TermDelay, c.script.TermCode)
		}
		r.endAfter(c, grace, killedCode)
	}
	r.mu.Unlock()
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RemoveContainer implements agent.Runtime.
func (r *Runtime) RemoveContainer(ctx context.Context, id string) error {
	c, call := r.find("RemoveContainer", id)
	if err := r.ask(ctx, call); err != nil || c == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.record.State == podstep.Running {
		return fmt.Errorf("remove container %s: it is running", id)
	}
	delete(r.containers, id)
	r.tell(c.pod.UID)
	return nil
}

// Exec implements agent.Runtime. The command is a script, too.
func (r *Runtime) Exec(ctx context.Context, id string, command []string) (agent.ExecResult, error) {
	c, call := r.find("Exec", id)
	if err := r.ask(ctx, call); err != nil {
		return agent.ExecResult{}, err
	}
	if c == nil {
		return agent.ExecResult{}, fmt.Errorf("exec in container %s: not found", id)
	}
	r.mu.Lock()
	running := c.record.State == podstep.Running
	r.mu.Unlock()
	if !running {
		return agent.ExecResult{}, fmt.Errorf("exec in container %s: it is not running", id)
	}
	script, err := parse(command, Script{Ends: true})
	if err != nil {
		return agent.ExecResult{}, err
	}
	result := agent.ExecResult{Output: []byte(script.Output), ExitCode: script.ExitCode}
	if script.Ends && script.After <= 0 {
		return result, nil
	}
	var done <-chan time.Time // never, if it does not end
	if script.Ends {
		timer := r.clock.NewTimer(script.After)
		defer timer.Stop()
		done = timer.C()
	}
	select {
	case <-done:
		return result, nil
	case <-c.ended:
		return agent.ExecResult{ExitCode: killedCode}, nil
	case <-ctx.Done():
		return agent.ExecResult{}, fmt.Errorf("command %q timed out: %w", command, ctx.Err())
	}
}

// find gives a container, nil if there is none, and describes a call on it.
func (r *Runtime) find(method, id string) (*container, Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return nil, Call{Method: method, Target: id}
	}
	return c, Call{Method: method, Pod: c.pod, Target: c.record.Name, Attempt: c.record.Attempt}
}
