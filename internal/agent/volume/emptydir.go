package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// makeEmptyDir makes the folder of an emptyDir. One that is there belongs to the
// containers, and is left as they have made it.
func (m *Manager) makeEmptyDir(pod *corev1.Pod, source *corev1.EmptyDirVolumeSource, dir string) error {
	group := fsGroup(pod)
	switch medium := source.Medium; {
	case medium == corev1.StorageMediumDefault:
		return makeDirectory(dir, group)
	case medium == corev1.StorageMediumMemory:
		return ensureTmpfs(dir, tmpfs{size: memorySize(pod, source.SizeLimit, m.allocatable()), gid: group})
	case strings.HasPrefix(string(medium), string(corev1.StorageMediumHugePages)):
		return makeHugePages(pod, medium, dir)
	default:
		return fmt.Errorf("unknown storage medium %q", medium)
	}
}

// directoryMode lets everybody in; with a group of the pod, what is made in the
// folder is the group's.
func directoryMode(group *int64) fs.FileMode { return groupMode(0o777|fs.ModeDir, group) }

// makeDirectory makes a folder that is complete if it is there.
func makeDirectory(dir string, group *int64) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// No volume has such a name.
	unfinished := filepath.Join(filepath.Dir(dir), hidden+filepath.Base(dir))
	if err := os.Mkdir(unfinished, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := own(unfinished, 0o777|fs.ModeDir, nil, group); err != nil {
		return err
	}
	return os.Rename(unfinished, dir)
}

// ensureTmpfs mounts memory at dir unless that was done before. The mode is that
// of an emptyDir, and sticky, as the kernel makes a tmpfs and upstream leaves it.
func ensureTmpfs(dir string, t tmpfs) error {
	if done, err := makeMountPoint(dir); err != nil || done {
		return err
	}
	t.mode = unixMode(directoryMode(t.gid) | fs.ModeSticky)
	return mountTmpfs(dir, t)
}

func unixMode(mode fs.FileMode) uint32 {
	out := uint32(mode.Perm())
	if mode&fs.ModeSetgid != 0 {
		out |= unix.S_ISGID
	}
	if mode&fs.ModeSticky != 0 {
		out |= unix.S_ISVTX
	}
	return out
}

// makeMountPoint makes a folder to mount on, and tells if that was done already.
func makeMountPoint(dir string) (mounted bool, err error) {
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	return isMounted(dir)
}

// memorySize is how large a volume in memory may become: what it asks for, but no
// more than the pod may use, and no more than all pods may use.
func memorySize(pod *corev1.Pod, limit *resource.Quantity, allocatable corev1.ResourceList) int64 {
	size := allocatable.Memory().Value()
	lower := func(to int64) {
		if to > 0 && (size == 0 || to < size) {
			size = to
		}
	}
	lower(podMemory(pod))
	if limit != nil {
		lower(limit.Value())
	}
	return size
}

// podMemory is the limit of the pod's memory, 0 if it has none: if one container
// has none, the pod has none, unless it says so itself.
func podMemory(pod *corev1.Pod) int64 {
	limited := pod.Spec.Resources != nil && !pod.Spec.Resources.Limits.Memory().IsZero()
	if !limited && slices.ContainsFunc(containers(pod), func(c *corev1.Container) bool {
		return c.Resources.Limits.Memory().IsZero()
	}) {
		return 0
	}
	limits := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})
	return limits.Memory().Value()
}

// containers are all that the pod begins with.
func containers(pod *corev1.Pod) []*corev1.Container {
	var out []*corev1.Container
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			out = append(out, &list[i])
		}
	}
	return out
}

// makeHugePages mounts huge pages at dir unless that was done before.
func makeHugePages(pod *corev1.Pod, medium corev1.StorageMedium, dir string) error {
	size, err := pageSize(pod, medium)
	if err != nil {
		return err
	}
	if done, err := makeMountPoint(dir); err != nil || done {
		return err
	}
	options := fmt.Sprintf("pagesize=%d,mode=777", size)
	if err := unix.Mount("nodev", dir, "hugetlbfs", 0, options); err != nil {
		return os.NewSyscallError("mount hugetlbfs", err)
	}
	return own(dir, 0o777|fs.ModeDir, nil, fsGroup(pod)) // hugetlbfs has no option for setgid
}

// pageSize is the size of huge pages that the medium stands for, of those the pod
// has asked for. HugePages alone stands for the only one.
func pageSize(pod *corev1.Pod, medium corev1.StorageMedium) (int64, error) {
	asked, err := pageSizes(pod)
	if err != nil {
		return 0, err
	}
	if text, named := strings.CutPrefix(string(medium), string(corev1.StorageMediumHugePagesPrefix)); named {
		size, err := resource.ParseQuantity(text)
		if err != nil {
			return 0, fmt.Errorf("medium %s: %w", medium, err)
		}
		asked = slices.DeleteFunc(asked, func(other int64) bool { return other != size.Value() })
	}
	switch len(asked) {
	case 0:
		return 0, fmt.Errorf("medium %s: hugePages storage requested, but there is no resource request for huge pages", medium)
	case 1:
		return asked[0], nil
	}
	return 0, fmt.Errorf("medium: %s can't be used if container requests multiple huge page sizes", medium)
}

// pageSizes are the sizes of huge pages that the pod asks for, each once.
func pageSizes(pod *corev1.Pod) ([]int64, error) {
	var requests []corev1.ResourceList
	if pod.Spec.Resources != nil {
		requests = append(requests, pod.Spec.Resources.Requests)
	}
	for _, container := range containers(pod) {
		requests = append(requests, container.Resources.Requests)
	}
	var out []int64
	for _, list := range requests {
		for name := range list {
			text, is := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix)
			if !is {
				continue
			}
			size, err := resource.ParseQuantity(text)
			if err != nil {
				return nil, fmt.Errorf("size of huge pages %q: %w", name, err)
			}
			out = append(out, size.Value())
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
