package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Destroy removes all pods of a data folder and every trace of its containerd,
// whoever started it: processes, mounts, network and files.
func Destroy(ctx context.Context, config Config) error {
	c, err := Start(ctx, config)
	if err != nil {
		return fmt.Errorf("start containerd, to remove what it holds: %w", err)
	}
	return c.Destroy(ctx)
}

// Destroy removes all pods, ends containerd, and removes every trace of it:
// processes, mounts, network and files. It goes on after an error.
func (c *Containerd) Destroy(ctx context.Context) error {
	l := c.layout
	errs := []error{c.removePods(ctx), c.Stop()}
	errs = append(errs, killChildren(l.isShim), endAll(l.isShim))
	dirs := []string{filepath.Dir(l.root), l.runtime}
	errs = append(errs, c.removeNetwork(ctx))
	if c.config.CNIConfDir == "" {
		dirs = append(dirs, filepath.Dir(l.cniData))
		results, err := filepath.Glob(filepath.Join("/var/lib/cni/results", l.network+"-*"))
		errs = append(errs, err)
		dirs = append(dirs, results...)
	}
	for _, dir := range dirs {
		errs = append(errs, removeUnmounted(dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove containerd of %s: %w", c.config.Dir, err)
	}
	return nil
}

// isShim says whether a process with these arguments is a shim of our containerd.
func (l layout) isShim(args []string) bool {
	at := slices.Index(args, "-address")
	return at > 0 && at+1 < len(args) && args[at+1] == l.socket && filepath.Base(args[0]) == "containerd-shim-runc-v2"
}

// removePods removes all that CRI lists, which also takes down their network.
func (c *Containerd) removePods(ctx context.Context) error {
	if err := poll(ctx, func() error { return askStatus(ctx, c.layout.socket) }); err != nil {
		return err
	}
	connection, err := dial(c.layout.socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	client := runtimeapi.NewRuntimeServiceClient(connection)
	if err := c.provideNetwork(ctx, client); err != nil {
		return err
	}
	answer, err := client.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	var errs []error
	for _, sandbox := range answer.Items {
		if _, err := client.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: sandbox.Id}); err != nil {
			errs = append(errs, fmt.Errorf("stop pod %s: %w", sandbox.Metadata.GetName(), err))
		}
		if _, err := client.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: sandbox.Id}); err != nil {
			errs = append(errs, fmt.Errorf("remove pod %s: %w", sandbox.Metadata.GetName(), err))
		}
	}
	return errors.Join(errs...)
}

// killChildren kills what runs under the processes that match: the containers
// of a shim that CRI could not remove.
func killChildren(match func(args []string) bool) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || !match(processArgs(pid)) {
			continue
		}
		children, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "task", entry.Name(), "children"))
		if err != nil {
			continue // it has ended
		}
		for _, field := range bytes.Fields(children) {
			child, err := strconv.Atoi(string(field))
			if err == nil {
				err = unix.Kill(child, unix.SIGKILL)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill a container's process: %w", err)
			}
		}
	}
	return nil
}

// removeUnmounted removes a folder once nothing is mounted in it any more: what a
// mount leads to is not ours to remove.
func removeUnmounted(dir string) error {
	// Mounts are listed by the path that has no symlinks.
	dir, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := unmountBelow(dir); err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	if left := mountsBelow(string(mounts), dir); len(left) > 0 {
		return fmt.Errorf("remove %s: something is still mounted at %s", dir, left[0])
	}
	return os.RemoveAll(dir)
}

// unmountBelow detaches every mount in a folder, the last first.
func unmountBelow(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	points := mountsBelow(string(mounts), dir)
	slices.Reverse(points)
	for _, point := range points {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// mountsBelow reads the mount points in a folder from a mountinfo, in its order.
func mountsBelow(mountinfo, dir string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if point := unescape.Replace(fields[4]); strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	return points
}

// removeBridge deletes a bridge, if there is one.
func removeBridge(name string) error {
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	defer unix.Close(control)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	// One that is up cannot be deleted.
	err = unix.IoctlIfreq(control, unix.SIOCGIFFLAGS, request)
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err == nil {
		request.SetUint16(request.Uint16() &^ unix.IFF_UP)
		err = unix.IoctlIfreq(control, unix.SIOCSIFFLAGS, request)
	}
	if err == nil {
		err = unix.IoctlIfreq(control, unix.SIOCBRDELBR, request)
	}
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	return nil
}
