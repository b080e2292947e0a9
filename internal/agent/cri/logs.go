package cri

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// makeLog makes a container's log file. That it is there keeps its folder from
// being removed as empty before the runtime opens it.
func makeLog(file string) error {
	for {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if errors.Is(err, os.ErrNotExist) {
			continue // the folder was removed in between
		}
		if err != nil {
			return err
		}
		return f.Close()
	}
}

// linkName is the name that log collectors expect: POD_NAMESPACE_CONTAINER-ID.log.
func linkName(pod agent.PodName, container, id string) string {
	return fmt.Sprintf("%s_%s_%s-%s.log", pod.Name, pod.Namespace, container, id)
}

func (r *Runtime) link(log, id string, config agent.ContainerConfig) error {
	if r.options.LinksDirectory == "" {
		return nil
	}
	if err := os.MkdirAll(r.options.LinksDirectory, 0o755); err != nil {
		return err
	}
	pod := podOf(podLabels(config.Pod, ""))
	return os.Symlink(log, filepath.Join(r.options.LinksDirectory, linkName(pod, config.Spec.Name, id)))
}

// removeLogs removes a container's log, those rotated out of it, the link to it,
// and its folders if nothing else is in them.
func (r *Runtime) removeLogs(status *runtimeapi.ContainerStatus) error {
	log := status.GetLogPath()
	if log == "" {
		return nil
	}
	files, err := filepath.Glob(log + ".*")
	if err != nil {
		return err
	}
	files = append(files, log)
	if r.options.LinksDirectory != "" {
		name := linkName(podOf(status.GetLabels()), status.GetMetadata().GetName(), status.GetId())
		files = append(files, filepath.Join(r.options.LinksDirectory, name))
	}
	var problems []error
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	if os.Remove(filepath.Dir(log)) == nil {
		os.Remove(filepath.Dir(filepath.Dir(log))) // fails as it should if it is in use
	}
	return errors.Join(problems...)
}
