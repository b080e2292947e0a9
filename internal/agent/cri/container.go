package cri

import (
	"fmt"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// imageUser is the user that an image says it runs as: a number, or else a name,
// or else root.
type imageUser struct {
	uid  *int64
	name string
}

// containerConfig translates a container. The mounts are all it gets.
func containerConfig(config agent.ContainerConfig, user imageUser, m machine) (*runtimeapi.ContainerConfig, error) {
	spec := config.Spec
	annotations, err := containerAnnotations(config)
	if err != nil {
		return nil, err
	}
	security, err := containerSecurity(config, user, m)
	if err != nil {
		return nil, err
	}
	result := &runtimeapi.ContainerConfig{
		Metadata:    &runtimeapi.ContainerMetadata{Name: spec.Name, Attempt: uint32(config.Attempt)},
		Image:       &runtimeapi.ImageSpec{Image: config.ImageID, UserSpecifiedImage: spec.Image},
		Command:     config.Command,
		Args:        config.Args,
		WorkingDir:  spec.WorkingDir,
		Labels:      podLabels(config.Pod, m.owner),
		Annotations: annotations,
		LogPath:     logPath(spec.Name, config.Attempt),
		Stdin:       spec.Stdin,
		StdinOnce:   spec.StdinOnce,
		Tty:         spec.TTY,
		StopSignal:  stopSignal(spec),
		Linux: &runtimeapi.LinuxContainerConfig{
			Resources:       containerResources(config, m),
			SecurityContext: security,
		},
	}
	result.Labels[containerNameLabel] = spec.Name
	for _, e := range config.Env {
		result.Envs = append(result.Envs, &runtimeapi.KeyValue{Key: e.Name, Value: []byte(e.Value)})
	}
	for _, mount := range config.Mounts {
		translated, err := translateMount(mount)
		if err != nil {
			return nil, err
		}
		result.Mounts = append(result.Mounts, translated)
	}
	return result, nil
}

// logPath is where a container logs, below its pod's log directory.
func logPath(container string, attempt int) string {
	return filepath.Join(container, fmt.Sprintf("%d.log", attempt))
}

func stopSignal(spec *corev1.Container) runtimeapi.Signal {
	if spec.Lifecycle == nil || spec.Lifecycle.StopSignal == nil {
		return runtimeapi.Signal_SIGNAL_RUNTIME_DEFAULT
	}
	name := strings.NewReplacer("+", "PLUS", "-", "MINUS").Replace(string(*spec.Lifecycle.StopSignal))
	return runtimeapi.Signal(runtimeapi.Signal_value["SIGNAL_"+name])
}

func translateMount(m agent.Mount) (*runtimeapi.Mount, error) {
	propagations := map[corev1.MountPropagationMode]runtimeapi.MountPropagation{
		"":                                     runtimeapi.MountPropagation_PROPAGATION_PRIVATE,
		corev1.MountPropagationNone:            runtimeapi.MountPropagation_PROPAGATION_PRIVATE,
		corev1.MountPropagationHostToContainer: runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER,
		corev1.MountPropagationBidirectional:   runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL,
	}
	propagation, known := propagations[m.Propagation]
	if !known {
		return nil, fmt.Errorf("mount %s: unknown propagation %q", m.ContainerPath, m.Propagation)
	}
	return &runtimeapi.Mount{
		ContainerPath: m.ContainerPath, HostPath: m.HostPath,
		Readonly: m.ReadOnly, RecursiveReadOnly: m.RecursiveReadOnly, Propagation: propagation,
	}, nil
}
