package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/agent"
)

// cgroupPatience is how long the kernel may take to see that a control group is
// empty.
const (
	cgroupPause    = 10 * time.Millisecond
	cgroupPatience = time.Second
)

// CreateSandbox implements agent.Runtime.
func (r *Runtime) CreateSandbox(ctx context.Context, config agent.SandboxConfig) (string, error) {
	m, err := r.machine(ctx, config.Pod)
	if err != nil {
		return "", failure(reasonSandbox, err)
	}
	translated, err := sandboxConfig(config, m)
	if err != nil {
		return "", failure(reasonSandbox, err)
	}
	if err := r.checkGroupsPolicy(ctx, config.Pod); err != nil {
		return "", failure(reasonSandbox, err)
	}
	handler, err := r.handler(ctx, config.Pod)
	if err != nil {
		return "", failure(reasonSandbox, err)
	}
	id, err := r.runSandbox(ctx, config, &runtimeapi.RunPodSandboxRequest{Config: translated, RuntimeHandler: handler})
	if err != nil {
		r.forget(ctx, config)
		return "", failure(reasonSandbox, err)
	}
	return id, nil
}

// runSandbox makes a sandbox and what it needs.
func (r *Runtime) runSandbox(ctx context.Context, config agent.SandboxConfig, request *runtimeapi.RunPodSandboxRequest) (string, error) {
	defer r.create(config.Pod.UID)()
	if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
		return "", err
	}
	driver, err := r.cgroupDriver(ctx)
	if err != nil {
		return "", err
	}
	if driver == driverFiles {
		if err := r.cgroups.create(request.Config.Linux.CgroupParent, podCgroup(config.Pod)); err != nil {
			// Its containers are limited all the same, each by itself.
			klog.FromContext(ctx).Error(err, "Cannot limit a pod as a whole", "pod", klog.KObj(config.Pod))
		}
	}
	response, err := r.runtime.RunPodSandbox(ctx, request)
	return response.GetPodSandboxId(), err
}

// create notes that a sandbox of a pod is being made, until it is.
func (r *Runtime) create(uid types.UID) (made func()) {
	count := func(by int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.creating[uid] += by; r.creating[uid] == 0 {
			delete(r.creating, uid)
		}
	}
	count(1)
	return func() { count(-1) }
}

// forget removes what was made for a sandbox that could not be: nobody else
// would, if there is no other. A context that is done does not keep it.
func (r *Runtime) forget(ctx context.Context, config agent.SandboxConfig) {
	ctx = context.WithoutCancel(ctx)
	pod := podOf(podLabels(config.Pod, ""))
	if r.holds(ctx, pod) {
		return
	}
	if err := r.tidy(ctx, pod, config.LogDirectory); err != nil {
		klog.FromContext(ctx).Error(err, "Something of a sandbox that could not be made is left over", "pod", klog.KObj(config.Pod))
	}
}

// handler is that of the pod's runtime class; empty is the runtime's default.
func (r *Runtime) handler(ctx context.Context, pod *corev1.Pod) (string, error) {
	class := pod.Spec.RuntimeClassName
	if class == nil || *class == "" || r.options.RuntimeHandler == nil {
		return ptr.Deref(class, ""), nil
	}
	handler, err := r.options.RuntimeHandler(ctx, *class)
	if err != nil {
		return "", fmt.Errorf("look up runtime class %s: %w", *class, err)
	}
	return handler, nil
}

// machine says what is needed to translate a pod.
func (r *Runtime) machine(ctx context.Context, pod *corev1.Pod) (machine, error) {
	driver, err := r.cgroupDriver(ctx)
	if err != nil {
		return machine{}, err
	}
	return machine{
		cgroupParent:     podParent(r.options.CgroupRoot, string(pod.UID), driver),
		owner:            r.options.Owner,
		seccompDirectory: r.options.SeccompDirectory,
		hugepageSizes:    r.hugepageSizes,
		swap:             r.swap,
		unified:          r.cgroups.unified,
	}, nil
}

// StopSandbox implements agent.Runtime.
func (r *Runtime) StopSandbox(ctx context.Context, id string) error {
	_, err := r.runtime.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: id})
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("stop sandbox %s: %w", id, plain(err))
	}
	return nil
}

// RemoveSandbox implements agent.Runtime. What only the sandbox needed goes with
// it: the pod's control group and its folder of logs, if nothing is in them.
func (r *Runtime) RemoveSandbox(ctx context.Context, id string) error {
	status, err := r.runtime.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
	if err != nil {
		if isNotFound(err) {
			return nil
		}
		return fmt.Errorf("inspect sandbox %s: %w", id, plain(err))
	}
	if _, err := r.runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id}); err != nil && !isNotFound(err) {
		return fmt.Errorf("remove sandbox %s: %w", id, plain(err))
	}
	return r.tidy(ctx, podOf(status.GetStatus().GetLabels()), status.GetStatus().GetAnnotations()[logDirectoryAnnotation])
}

// tidy removes what a pod without a sandbox needs no more: its control group,
// and its folder of logs if nothing is in it.
func (r *Runtime) tidy(ctx context.Context, pod agent.PodName, logs string) error {
	if logs != "" {
		os.Remove(logs) // fails as it should if another sandbox of the pod logs there
	}
	driver, err := r.cgroupDriver(ctx)
	if err != nil || driver != driverFiles {
		return plain(err)
	}
	return r.removeCgroup(ctx, pod, podParent(r.options.CgroupRoot, string(pod.UID), driver))
}

// removeCgroup removes the control group of a pod, unless it has another
// sandbox. The kernel may need a moment to see that nothing is in it any more.
func (r *Runtime) removeCgroup(ctx context.Context, pod agent.PodName, group string) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, cgroupPause, cgroupPatience, true, func(ctx context.Context) (bool, error) {
		if r.holds(ctx, pod) {
			return true, nil
		}
		r.mu.Lock() // so that no sandbox begins to be made in between
		defer r.mu.Unlock()
		if r.creating[pod.UID] > 0 {
			return true, nil
		}
		last = r.cgroups.remove(group)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("remove the control group of pod %s: %w", pod, errors.Join(last, ctx.Err()))
	}
	return nil
}

// holds tells whether the pod has sandboxes.
func (r *Runtime) holds(ctx context.Context, pod agent.PodName) bool {
	response, err := r.runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{
		Filter: &runtimeapi.PodSandboxFilter{LabelSelector: map[string]string{podUIDLabel: string(pod.UID)}},
	})
	return err == nil && len(response.GetItems()) > 0
}
