package cri

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const cgroupMount = "/sys/fs/cgroup"

// cgroupDriver is who makes control groups for the runtime.
type cgroupDriver int

const (
	driverUnknown cgroupDriver = iota
	driverFiles
	driverSystemd
)

// cgroups are the control groups of this machine.
type cgroups struct {
	mount   string
	unified bool // version 2
}

func findCgroups() cgroups {
	_, err := os.Stat(filepath.Join(cgroupMount, "cgroup.controllers"))
	return cgroups{mount: cgroupMount, unified: err == nil}
}

// swap says how swap can be controlled.
func (c cgroups) swap() swapControl {
	switch {
	case !c.unified && exists(filepath.Join(c.mount, "memory/memory.memsw.limit_in_bytes")):
		return swapV1
	case c.unified && exists("/proc/swaps") && hasSwapFile(c.mount):
		return swapV2
	}
	return swapUncontrolled
}

// hasSwapFile tells whether any group below the root can limit swap: the root
// itself has no such file.
func hasSwapFile(mount string) bool {
	found, _ := filepath.Glob(filepath.Join(mount, "*/memory.swap.max")) // the pattern is well formed
	return len(found) > 0
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// hugepageSizes are those of the kernel, such as 2MB.
func hugepageSizes() []string {
	entries, err := os.ReadDir("/sys/kernel/mm/hugepages")
	if err != nil {
		return nil // a kernel without huge pages
	}
	var sizes []string
	for _, e := range entries {
		kilobytes, isSize := strings.CutSuffix(strings.TrimPrefix(e.Name(), "hugepages-"), "kB")
		if n, err := strconv.ParseInt(kilobytes, 10, 64); isSize && err == nil {
			sizes = append(sizes, pageSize(n*1024))
		}
	}
	slices.Sort(sizes)
	return sizes
}

// podParent names the control group of a pod, in the terms of its driver.
func podParent(root, uid string, driver cgroupDriver) string {
	if driver == driverSystemd { // dashes are what slices nest by
		base := strings.Trim(strings.ReplaceAll(root, "/", "-"), "-")
		return fmt.Sprintf("/%s.slice/%s-pod%s.slice", base, base, strings.ReplaceAll(uid, "-", "_"))
	}
	return path.Join(root, "pod"+uid)
}

// create makes a pod's control group with its limits. The runtime would make it,
// too, but without: then a pod that asks for much of the CPU would get as much as
// one that asks for nothing.
func (c cgroups) create(group string, limits *runtimeapi.LinuxContainerResources) error {
	root := path.Dir(group)
	whole := &runtimeapi.LinuxContainerResources{CpuShares: int64(runtime.NumCPU()) * sharesPerCPU}
	for _, g := range []struct {
		path   string
		limits *runtimeapi.LinuxContainerResources
	}{{root, whole}, {group, limits}} {
		if err := c.write(g.path, g.limits); err != nil {
			return fmt.Errorf("limit control group %s: %w", g.path, err)
		}
	}
	return nil
}

func (c cgroups) write(group string, limits *runtimeapi.LinuxContainerResources) error {
	if c.unified {
		return c.writeUnified(group, limits)
	}
	quota := limits.CpuQuota
	if quota == 0 {
		quota = -1
	}
	memory := limits.MemoryLimitInBytes
	if memory == 0 {
		memory = -1
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"cpu/%s/cpu.shares", limits.CpuShares},
		{"cpu/%s/cpu.cfs_period_us", quotaPeriod},
		{"cpu/%s/cpu.cfs_quota_us", quota},
		{"memory/%s/memory.limit_in_bytes", memory},
	} {
		name := filepath.Join(c.mount, fmt.Sprintf(f.name, strings.TrimPrefix(group, "/")))
		if err := put(name, strconv.FormatInt(f.value, 10)); err != nil {
			return err
		}
	}
	return nil
}

func (c cgroups) writeUnified(group string, limits *runtimeapi.LinuxContainerResources) error {
	if err := put(filepath.Join(c.mount, path.Dir(group), "cgroup.subtree_control"), "+cpu +memory"); err != nil {
		return err
	}
	quota, memory := "max", "max"
	if limits.CpuQuota > 0 {
		quota = strconv.FormatInt(limits.CpuQuota, 10)
	}
	if limits.MemoryLimitInBytes > 0 {
		memory = strconv.FormatInt(limits.MemoryLimitInBytes, 10)
	}
	for name, value := range map[string]string{
		"cpu.weight": strconv.FormatInt(weight(limits.CpuShares), 10),
		"cpu.max":    fmt.Sprintf("%s %d", quota, quotaPeriod),
		"memory.max": memory,
	} {
		if err := put(filepath.Join(c.mount, group, name), value); err != nil {
			return err
		}
	}
	return nil
}

// weight gives shares of version 1 as the weight of version 2, from 1 to 10000.
func weight(shares int64) int64 {
	return 1 + (max(shares, minShares)-minShares)*9999/(maxShares-minShares)
}

// put writes a control file, in a group that may have to be made.
func put(name, value string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(value), 0o644)
}

// remove removes a pod's control group, once it is empty, from wherever the
// runtime or create made it.
func (c cgroups) remove(group string) error {
	places := []string{filepath.Join(c.mount, group)}
	if !c.unified {
		found, err := filepath.Glob(filepath.Join(c.mount, "*", group))
		if err != nil {
			return err
		}
		places = found
	}
	var problems []error
	for _, place := range places {
		if err := os.Remove(place); err != nil && !errors.Is(err, os.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// cgroupDriver asks the runtime who makes its control groups. Those that do not
// know the question say it in their configuration.
func (r *Runtime) cgroupDriver(ctx context.Context) (cgroupDriver, error) {
	r.mu.Lock()
	driver := r.driver
	r.mu.Unlock()
	if driver != driverUnknown {
		return driver, nil
	}
	driver = driverFiles
	response, err := r.runtime.RuntimeConfig(ctx, &runtimeapi.RuntimeConfigRequest{})
	switch {
	case err == nil && response.GetLinux() != nil:
		if response.GetLinux().GetCgroupDriver() == runtimeapi.CgroupDriver_SYSTEMD {
			driver = driverSystemd
		}
	case err == nil || isUnsupported(err):
		status, err := r.runtime.Status(ctx, &runtimeapi.StatusRequest{Verbose: true})
		if err != nil {
			return driverUnknown, err
		}
		if configuredForSystemd(status.GetInfo()["config"]) {
			driver = driverSystemd
		}
	default:
		return driverUnknown, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.driver = driver
	return driver, nil
}

// configuredForSystemd reads the configuration that containerd shows.
func configuredForSystemd(config string) bool {
	var c struct {
		Containerd struct {
			DefaultRuntimeName string
			Runtimes           map[string]struct {
				Options struct{ SystemdCgroup bool }
			}
		}
		SystemdCgroup bool
	}
	if json.Unmarshal([]byte(config), &c) != nil {
		return false
	}
	return c.SystemdCgroup || c.Containerd.Runtimes[c.Containerd.DefaultRuntimeName].Options.SystemdCgroup
}
