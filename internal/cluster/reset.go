package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/agent/apiaccess"
	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/cri"
	"github.com/garrison-project/garrison/internal/agent/volume"
)

// ErrNothingToReset says that no agent has left anything in a data directory.
var ErrNothingToReset = errors.New("there is nothing to reset")

// ResetNode ends all containers of the agent of a data directory, and removes what
// was set up for them: mounts, network, control groups, logs, images and files.
// It goes on after an error. An agent that runs is an error, and nothing is
// removed then.
func ResetNode(ctx context.Context, cfg AgentConfig) error {
	if os.Geteuid() != 0 {
		return errors.New("only root can end containers")
	}
	if _, err := os.Stat(cfg.Dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s does not exist", ErrNothingToReset, cfg.Dir)
	}
	var err error
	if cfg.RuntimeEndpoint != "" {
		err = endSharedPods(ctx, cfg)
	} else {
		runtime, failure := containerd.Start(ctx, containerd.Config{
			Dir: cfg.Dir, ContainerdPath: cfg.ContainerdPath, CNIBinDir: cfg.CNIBinDir, CNIConfDir: cfg.CNIConfDir,
		})
		if failure != nil {
			return failure
		}
		name := runtime.Bridge()
		err = errors.Join(
			apiaccess.Remove(ctx, apiaccess.Config{Name: name, Bridge: name}),
			runtime.Destroy(ctx),
			removeControlGroups(cgroupRoot(name)),
		)
	}
	uids, failure := removeVolumes(ctx, cfg)
	if err = errors.Join(err, failure, removeLogs(cfg.PodLogs, uids)); err != nil {
		return err
	}
	return os.RemoveAll(cfg.Dir)
}

// endSharedPods removes the pods that the agent has in a runtime of others.
func endSharedPods(ctx context.Context, cfg AgentConfig) error {
	runtime, err := cri.New(cri.Options{Endpoint: cfg.RuntimeEndpoint, Owner: cfg.owner(), PodsDirectory: cfg.podsFolder()})
	if err != nil {
		return err
	}
	defer runtime.Close()
	held, err := runtime.Look(ctx)
	if err != nil {
		return err
	}
	var all error
	for _, holding := range held {
		all = errors.Join(all, holding.Err)
		for _, container := range holding.Containers {
			all = errors.Join(all, runtime.KillContainer(ctx, container.ID, 0), runtime.RemoveContainer(ctx, container.ID))
		}
		for _, sandbox := range holding.Sandboxes {
			all = errors.Join(all, runtime.StopSandbox(ctx, sandbox.ID), runtime.RemoveSandbox(ctx, sandbox.ID))
		}
	}
	return errors.Join(all, apiaccess.Remove(ctx, apiaccess.Config{Name: accessName}))
}

// removeVolumes unmounts and removes the volumes of all pods, and tells whose they
// were.
func removeVolumes(ctx context.Context, cfg AgentConfig) ([]types.UID, error) {
	volumes, err := volume.New(volume.Options{Directory: cfg.podsFolder()})
	if err != nil {
		return nil, err
	}
	uids, err := volumes.List()
	for _, uid := range uids {
		err = errors.Join(err, volumes.TearDown(ctx, uid, true))
	}
	return uids, err
}

// removeLogs removes the output of pods, and the links that lead to what is not
// there any more. Their folders are named NAMESPACE_NAME_UID.
func removeLogs(folder string, uids []types.UID) error {
	var all error
	for _, uid := range uids {
		found, err := filepath.Glob(filepath.Join(folder, "*_"+string(uid)))
		all = errors.Join(all, err)
		for _, dir := range found {
			all = errors.Join(all, os.RemoveAll(dir))
		}
	}
	links, err := filepath.Glob(filepath.Join(linksFolder(folder), "*.log"))
	all = errors.Join(all, err)
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, filepath.Clean(folder)+"/") {
			continue
		}
		if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, os.Remove(link))
		}
	}
	return all
}

// linksFolder holds links to the logs in folder, named after pods and containers.
func linksFolder(folder string) string { return filepath.Join(filepath.Dir(folder), "containers") }

// removeControlGroups removes a control group with all below it from every
// hierarchy. They are empty by then: no process is left.
func removeControlGroups(root string) error {
	const mount = "/sys/fs/cgroup"
	hierarchies, err := filepath.Glob(filepath.Join(mount, "*", root))
	if err != nil {
		return err
	}
	var all error
	for _, top := range append(hierarchies, filepath.Join(mount, root)) {
		all = errors.Join(all, removeControlGroup(top))
	}
	return all
}

func removeControlGroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if entry.IsDir() {
			err = errors.Join(err, removeControlGroup(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(err, os.Remove(dir)) // its files go with it
}
