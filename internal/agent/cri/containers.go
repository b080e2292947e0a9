package cri

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/agent"
)

// StartContainer implements agent.Runtime.
func (r *Runtime) StartContainer(ctx context.Context, config agent.ContainerConfig) (string, error) {
	request, err := r.createRequest(ctx, config)
	if err != nil {
		return "", failure(reasonConfig, err)
	}
	log := filepath.Join(request.SandboxConfig.LogDirectory, request.Config.LogPath)
	if err := makeLog(log); err != nil {
		return "", failure(reasonConfig, err)
	}
	created, err := r.runtime.CreateContainer(ctx, request)
	if err != nil {
		return "", failure(reasonCreate, err)
	}
	id := created.GetContainerId()
	if _, err := r.runtime.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		return id, failure(reasonRun, err)
	}
	if err := r.link(log, id, config); err != nil {
		klog.FromContext(ctx).Error(err, "Cannot link a log", "pod", klog.KObj(config.Pod), "container", config.Spec.Name)
	}
	return id, nil
}

// createRequest translates a container. The runtime wants to be told of the
// sandbox again.
func (r *Runtime) createRequest(ctx context.Context, config agent.ContainerConfig) (*runtimeapi.CreateContainerRequest, error) {
	m, err := r.machine(ctx, config.Pod)
	if err != nil {
		return nil, plain(err)
	}
	status, err := r.runtime.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: config.Sandbox})
	if err != nil {
		return nil, fmt.Errorf("inspect sandbox %s: %w", config.Sandbox, plain(err))
	}
	sandbox, err := sandboxConfig(agent.SandboxConfig{
		Pod:          config.Pod,
		Attempt:      int(status.GetStatus().GetMetadata().GetAttempt()),
		Hostname:     status.GetStatus().GetAnnotations()[hostnameAnnotation],
		LogDirectory: config.LogDirectory,
	}, m)
	if err != nil {
		return nil, err
	}
	user, err := r.imageUser(ctx, config.ImageID)
	if err != nil {
		return nil, err
	}
	if config.Mounts, err = r.withMessageFile(config); err != nil {
		return nil, err
	}
	container, err := containerConfig(config, user, m)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.CreateContainerRequest{PodSandboxId: config.Sandbox, Config: container, SandboxConfig: sandbox}, nil
}

// withMessageFile makes the file of a container's termination message, and gives
// its mounts with that file.
func (r *Runtime) withMessageFile(config agent.ContainerConfig) ([]agent.Mount, error) {
	inside := config.Spec.TerminationMessagePath
	if inside == "" || r.options.PodsDirectory == "" {
		return config.Mounts, nil
	}
	if !filepath.IsAbs(inside) {
		inside = "/" + inside
	}
	if !mountable(config.Mounts, inside) {
		return config.Mounts, nil
	}
	file := filepath.Join(r.messageFolder(config.Pod.UID), config.Spec.Name, strconv.Itoa(config.Attempt))
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		return nil, err
	}
	if err := os.Chmod(file, 0o666); err != nil { // any user, whatever the umask
		return nil, err
	}
	mounts := append([]agent.Mount{}, config.Mounts...)
	return append(mounts, agent.Mount{HostPath: file, ContainerPath: inside}), nil
}

// KillContainer implements agent.Runtime. Of several calls at the same time, the
// first to run out of patience decides.
func (r *Runtime) KillContainer(ctx context.Context, id string, grace time.Duration) error {
	seconds := int64(math.Ceil(grace.Seconds()))
	_, err := r.runtime.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: max(seconds, 0)})
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("stop container %s: %w", id, plain(err))
	}
	return nil
}

// RemoveContainer implements agent.Runtime. The file of the termination message
// goes, too.
func (r *Runtime) RemoveContainer(ctx context.Context, id string) error {
	response, err := r.runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("inspect container %s: %w", id, plain(err))
	}
	status := response.GetStatus()
	if status.GetState() == runtimeapi.ContainerState_CONTAINER_RUNNING {
		return fmt.Errorf("remove container %s: it is running", id)
	}
	if _, err := r.runtime.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id}); err != nil && !isNotFound(err) {
		return fmt.Errorf("remove container %s: %w", id, plain(err))
	}
	problem := r.removeLogs(status)
	if file := r.messageFile(status); file != "" {
		if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
			problem = errors.Join(problem, err)
		}
	}
	if problem != nil {
		return fmt.Errorf("remove the files of container %s: %w", id, problem)
	}
	return nil
}
