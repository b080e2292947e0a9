package volume

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/environ"
)

// Mounts implements agent.Volumes. SetUp has to have succeeded.
func (m *Manager) Mounts(ctx context.Context, request agent.MountRequest) ([]agent.Mount, error) {
	var out []agent.Mount
	ownHosts := len(request.PodIPs) > 0 || request.Pod.Spec.HostNetwork
	for i := range request.Spec.VolumeMounts {
		mount, err := m.mount(ctx, request, i)
		if err != nil {
			return nil, err
		}
		ownHosts = ownHosts && mount.ContainerPath != hostsPath
		out = append(out, mount)
	}
	if ownHosts {
		mount, err := m.hostsMount(request)
		if err != nil {
			return nil, err
		}
		out = append(out, mount)
	}
	return out, nil
}

// mount translates one mount of the container.
func (m *Manager) mount(ctx context.Context, request agent.MountRequest, index int) (agent.Mount, error) {
	want := &request.Spec.VolumeMounts[index]
	v := volumeNamed(request.Pod, want.Name)
	if v == nil {
		return agent.Mount{}, fmt.Errorf("cannot find volume %q to mount into container %q", want.Name, request.Spec.Name)
	}
	out := agent.Mount{
		HostPath:      m.volumePath(request.Pod.UID, v),
		ContainerPath: filepath.Join("/", want.MountPath),
		ReadOnly:      want.ReadOnly || (v.HostPath == nil && v.EmptyDir == nil),
		Propagation:   corev1.MountPropagationNone,
	}
	if want.MountPropagation != nil {
		out.Propagation = *want.MountPropagation
	}
	var err error
	if out.RecursiveReadOnly, err = m.recursiveReadOnly(want, out.Propagation); err != nil {
		return agent.Mount{}, fmt.Errorf("failed to resolve recursive read-only mode: %w", err)
	}
	sub, err := environ.SubPath(want, request.Env)
	if err != nil || sub == "" {
		return out, err
	}
	out.HostPath, err = m.subPath(ctx, request, subPath{
		volume: v, root: out.HostPath, path: sub, index: index, shared: out.Propagation == corev1.MountPropagationBidirectional,
	})
	return out, err
}

// recursiveReadOnly tells whether all that is mounted in the volume is to be read
// only, too.
func (m *Manager) recursiveReadOnly(want *corev1.VolumeMount, propagation corev1.MountPropagationMode) (bool, error) {
	switch mode := want.RecursiveReadOnly; {
	case mode == nil || *mode == corev1.RecursiveReadOnlyDisabled:
		return false, nil
	case !want.ReadOnly:
		return false, fmt.Errorf("volume %q requested recursive read-only mode, but it is not read-only", want.Name)
	case propagation != corev1.MountPropagationNone:
		return false, fmt.Errorf("volume %q requested recursive read-only mode, but it is not compatible with propagation %q",
			want.Name, propagation)
	case *mode == corev1.RecursiveReadOnlyIfPossible || m.options.RecursiveReadOnly:
		return m.options.RecursiveReadOnly, nil
	}
	return false, fmt.Errorf("volume %q requested recursive read-only mode, but it is not supported by the runtime", want.Name)
}

// subPath gives a place that shows one path of a volume and nothing else of the
// machine. What exactly went wrong is only logged: it would tell users about the
// files of the machine.
func (m *Manager) subPath(ctx context.Context, request agent.MountRequest, sub subPath) (string, error) {
	if filepath.IsAbs(sub.path) {
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", sub.path)
	}
	if slices.Contains(strings.Split(sub.path, "/"), "..") {
		return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", sub.path)
	}
	folder, err := m.podFolder(request.Pod.UID)
	if err != nil {
		return "", err
	}
	sub.target = filepath.Join(folder, subPathsFolder, sub.volume.Name, request.Spec.Name, fmt.Sprint(sub.index))
	err = sub.bind()
	if err == nil {
		return sub.target, nil
	}
	klog.FromContext(ctx).Error(err, "Failed to mount a subPath", "pod", klog.KObj(request.Pod),
		"container", request.Spec.Name, "volume", sub.volume.Name, "subPath", sub.path)
	what := "prepare subPath"
	if errors.Is(err, errMake) {
		what = "create subPath directory"
	}
	return "", fmt.Errorf("failed to %s for volumeMount %q of container %q", what, sub.volume.Name, request.Spec.Name)
}

func volumeNamed(pod *corev1.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}

// nestedMounts are the paths inside a volume at which containers mount others.
// They have to be there: the runtime cannot make them in what is read only.
func nestedMounts(pod *corev1.Pod, name string) []string {
	var out []string
	for _, container := range containers(pod) {
		out = append(out, nestedIn(container.VolumeMounts, name)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func nestedIn(mounts []corev1.VolumeMount, name string) []string {
	var out []string
	for _, outer := range mounts {
		if outer.Name != name || outer.SubPath != "" || outer.SubPathExpr != "" {
			continue
		}
		for _, inner := range mounts {
			path, err := filepath.Rel(outer.MountPath, inner.MountPath)
			if err == nil && path != "." && !strings.HasPrefix(path, hidden) {
				out = append(out, path)
			}
		}
	}
	return out
}
