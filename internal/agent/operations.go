package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/core/podstep"
	"github.com/garrison-project/garrison/internal/view"
)

// task is an operation with what it is done to: the pod as asked for, and what the
// runtime held when it was decided.
type task struct {
	podstep.Operation
	pod     *corev1.Pod
	holding Holding
}

// start begins an operation. When it has ended, and the runtime has been looked at
// since, the pod has its outcome and another step.
func (a *Agent) start(p *pod, t task) {
	ctx, cancel := context.WithCancel(a.life)
	o := &operation{Operation: t.Operation, cancel: cancel}
	p.mu.Lock()
	p.ongoing = append(p.ongoing, o)
	p.mu.Unlock()
	a.tellBegun(p, &t)
	begun := a.Clock.Now()
	a.work.Go(func() {
		defer cancel()
		err := safely(ctx, func() error { return a.perform(ctx, t) })
		if a.life.Err() != nil {
			return
		}
		outcome := podstep.Outcome{Operation: t.Operation, At: a.Clock.Now()}
		if err != nil {
			outcome.Reason, outcome.Message = reasonOf(t.Kind, err), err.Error()
			klog.FromContext(ctx).V(2).Info("Operation failed", "operation", t.Kind, "pod", klog.KObj(t.pod),
				"container", t.Container, "attempt", t.Attempt, "reason", outcome.Reason, "err", err)
		}
		a.tellEnded(&t, conclusion{
			outcome: outcome, took: outcome.At.Sub(begun), cancelled: ctx.Err() != nil, size: a.imageSize(ctx, t),
		})
		if a.sight.refresh(a.life) != nil {
			return
		}
		p.ended(o, outcome)
		a.steps.Add(p.uid)
	})
}

// reasonOf is the reason that Kubernetes has for an error.
func reasonOf(kind podstep.Kind, err error) string {
	if failure, ok := errors.AsType[*Failure](err); ok {
		return failure.Reason
	}
	switch kind {
	case podstep.CreateSandbox:
		return "CreatePodSandboxError"
	case podstep.PullImage:
		return "ErrImagePull"
	case podstep.StartContainer:
		return "CreateContainerError"
	case podstep.RunPostStart:
		return "PostStartHookError"
	case podstep.RunPreStop:
		return "PreStopHookError"
	case podstep.KillContainer:
		return "KillContainerError"
	}
	return "KillPodSandboxError"
}

// perform does an operation.
func (a *Agent) perform(ctx context.Context, t task) error {
	switch t.Kind {
	case podstep.CreateSandbox:
		return a.createSandbox(ctx, t)
	case podstep.PullImage:
		_, err := a.Runtime.PullImage(ctx, Pull{Image: t.Image, Pod: t.pod, Credentials: a.credentials(ctx, t.pod, t.Image)})
		return err
	case podstep.StartContainer:
		return a.startContainer(ctx, t)
	case podstep.RunPostStart, podstep.RunPreStop:
		return a.runHook(ctx, t)
	case podstep.KillContainer:
		return a.Runtime.KillContainer(ctx, t.ID, max(t.By.Sub(a.Clock.Now()), 0))
	case podstep.RemoveContainer:
		return a.Runtime.RemoveContainer(ctx, t.ID)
	case podstep.StopSandbox:
		return a.Runtime.StopSandbox(ctx, t.ID)
	case podstep.RemoveSandbox:
		return a.Runtime.RemoveSandbox(ctx, t.ID)
	}
	return fmt.Errorf("unknown operation %d", t.Kind)
}

// imageSize is the size of an image that was pulled, in bytes, for an event.
func (a *Agent) imageSize(ctx context.Context, t task) int64 {
	if t.Kind != podstep.PullImage {
		return 0
	}
	id, err := a.Runtime.ImageID(ctx, t.Image)
	if err != nil || id == "" {
		return 0
	}
	images, err := a.Runtime.Images(ctx)
	if i := slices.IndexFunc(images, func(image Image) bool { return image.ID == id }); err == nil && i >= 0 {
		return images[i].Size
	}
	return 0
}

func (a *Agent) createSandbox(ctx context.Context, t task) error {
	dns, err := a.dns(t.pod)
	if err != nil {
		return err
	}
	host, err := a.hostname(t.pod)
	if err != nil {
		return err
	}
	_, err = a.Runtime.CreateSandbox(ctx, SandboxConfig{
		Pod: t.pod, Attempt: t.Attempt, Hostname: host.name, DNS: dns, LogDirectory: a.logDirectory(t.pod),
	})
	return err
}

// startContainer gathers all that a container is started with, and starts it.
func (a *Agent) startContainer(ctx context.Context, t task) error {
	spec := ContainerNamed(t.pod, t.Container)
	if spec == nil {
		return fmt.Errorf("the pod has no container %q any more", t.Container)
	}
	imageID, err := a.Runtime.ImageID(ctx, t.Image)
	if err == nil && imageID == "" {
		err = fmt.Errorf("image %q is not present any more", t.Image)
	}
	if err != nil {
		return err
	}
	config := ContainerConfig{
		Pod: t.pod, Spec: spec, Attempt: t.Attempt, Sandbox: t.ID, ImageID: imageID,
		Hash:         view.ContainerHash(spec),
		LogDirectory: a.logDirectory(t.pod), NodeMemory: a.Settings.Memory,
	}
	if err := a.furnish(ctx, t, &config); err != nil {
		return &Failure{Reason: "CreateContainerConfigError", Err: err}
	}
	if config.TargetContainer, err = target(t); err != nil {
		return err
	}
	_, err = a.Runtime.StartContainer(ctx, config)
	return err
}

// furnish adds the environment and the mounts.
func (a *Agent) furnish(ctx context.Context, t task, config *ContainerConfig) error {
	request := ContainerRequest{Pod: t.pod, Spec: config.Spec, PodIPs: a.podIPs(t), HostIPs: a.hostIPs()}
	process, err := a.Environment.Resolve(ctx, request)
	if err != nil {
		return err
	}
	config.Env, config.Command, config.Args = process.Env, process.Command, process.Args
	host, err := a.hostname(t.pod)
	if err != nil {
		return err
	}
	config.Mounts, err = a.Volumes.Mounts(ctx, MountRequest{
		ContainerRequest: request, Env: process.Env, Hostname: host.name, Domain: host.domain,
	})
	return err
}

// target is the container whose processes an ephemeral one wants to see.
func target(t task) (id string, err error) {
	i := slices.IndexFunc(t.pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.Name == t.Container })
	if i < 0 || t.pod.Spec.EphemeralContainers[i].TargetContainerName == "" {
		return "", nil
	}
	name := t.pod.Spec.EphemeralContainers[i].TargetContainerName
	for _, c := range t.holding.Containers {
		if c.Name == name && c.State == podstep.Running {
			return c.ID, nil
		}
	}
	return "", fmt.Errorf("unable to find target container %q", name)
}

// podIPs are the addresses of the sandbox that a task is about; those of the node
// if the pod is on its network.
func (a *Agent) podIPs(t task) []string {
	if t.pod.Spec.HostNetwork {
		return a.hostIPs()
	}
	return sandboxIPs(t.holding)
}

// sandboxIPs are the addresses of the newest sandbox.
func sandboxIPs(h Holding) []string {
	if newest := newestSandbox(h); newest != nil {
		return newest.IPs
	}
	return nil
}

// newestSandbox is the one with the highest attempt, nil if there is none.
func newestSandbox(h Holding) *SandboxRecord {
	var newest *SandboxRecord
	for i := range h.Sandboxes {
		if newest == nil || h.Sandboxes[i].Attempt > newest.Attempt {
			newest = &h.Sandboxes[i]
		}
	}
	return newest
}

// hostIPs are the node's addresses, the main one first.
func (a *Agent) hostIPs() []string {
	node := a.Node()
	if node == nil {
		return nil
	}
	var out []string
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			out = append(out, address.Address)
		}
	}
	return out
}

// runHook runs a lifecycle handler, a preStop one until its time is up.
func (a *Agent) runHook(ctx context.Context, t task) error {
	spec := ContainerNamed(t.pod, t.Container)
	if spec == nil || spec.Lifecycle == nil {
		return nil
	}
	hook := HookRequest{Pod: t.pod, Spec: spec, ContainerID: t.ID, Handler: spec.Lifecycle.PostStart}
	if t.Kind == podstep.RunPreStop {
		hook.Handler = spec.Lifecycle.PreStop
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(t.By.Sub(a.Clock.Now()), time.Millisecond))
		defer cancel()
	}
	if hook.Handler == nil {
		return nil
	}
	if ips := a.podIPs(t); len(ips) > 0 {
		hook.PodIP = ips[0]
	}
	return a.Hooks.Run(ctx, hook)
}

// ContainerNamed is the spec of a container of any kind, nil if there is none.
func ContainerNamed(object *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{object.Spec.InitContainers, object.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	for i := range object.Spec.EphemeralContainers {
		if object.Spec.EphemeralContainers[i].Name == name {
			common := corev1.Container(object.Spec.EphemeralContainers[i].EphemeralContainerCommon)
			return &common
		}
	}
	return nil
}
