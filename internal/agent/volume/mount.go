package volume

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPoints are the places at and under dir where something is mounted, the
// deepest first, as often as they are mounted on. dir must have no symlinks.
func mountPoints(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountPointsIn(f, dir)
}

func mountPointsIn(mountinfo io.Reader, dir string) ([]string, error) {
	var out []string
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, 1<<20) // a line of overlayfs can be long
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if path := unescape(fields[4]); path == dir || strings.HasPrefix(path, dir+"/") {
			out = append(out, path)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(b, "/"), strings.Count(a, "/")), cmp.Compare(a, b))
	})
	return out, lines.Err()
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// maxLayers is how often one place may be mounted on before we give up.
const maxLayers = 64

// detachAll unmounts all that is mounted at and under dir, layer by layer: of what
// is mounted over each other only the uppermost can be reached.
func detachAll(dir string) error {
	for range maxLayers {
		points, err := mountPoints(dir)
		if err != nil || len(points) == 0 {
			return err
		}
		if err := detachLayer(points); err != nil {
			return err
		}
	}
	return fmt.Errorf("unmount %s: it is mounted on again and again", dir)
}

// detachLayer unmounts what can be reached, each place once, deepest first. It all
// is made private before anything is unmounted: a mount that is shared would pass
// on to the machine, whose mounts it may mirror, that what is mounted on it has
// gone. It fails if nothing could be unmounted.
func detachLayer(points []string) error {
	points = slices.Compact(points)
	for _, point := range points {
		err := unix.Mount("", point, "", unix.MS_PRIVATE, "")
		if err != nil && !isHidden(err) {
			return os.NewSyscallError("make private "+point, err)
		}
	}
	var failed []error
	for _, point := range points {
		if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			failed = append(failed, os.NewSyscallError("unmount "+point, err))
		}
	}
	if len(failed) < len(points) {
		return nil
	}
	return errors.Join(failed...)
}

// isHidden tells that nothing is mounted at a place as we see it: it is under
// another mount.
func isHidden(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}

// tmpfs is a memory file system to be mounted.
type tmpfs struct {
	size int64 // bytes; 0 is the kernel's own limit
	mode uint32
	gid  *int64
}

// mountTmpfs mounts with the right mode and owner from the beginning, so that a
// mount is complete if it is there. Contents are kept out of swap where the kernel
// can do so (since 6.4).
func mountTmpfs(dir string, t tmpfs) error {
	options := fmt.Sprintf("mode=%o", t.mode)
	if t.gid != nil {
		options += fmt.Sprintf(",gid=%d", *t.gid)
	}
	if t.size > 0 {
		options += fmt.Sprintf(",size=%d", t.size)
	}
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, options+",noswap")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, options)
	}
	return os.NewSyscallError("mount tmpfs", err)
}

// isMounted tells whether another file system is mounted on dir.
func isMounted(dir string) (bool, error) {
	var self, parent unix.Stat_t
	if err := unix.Lstat(dir, &self); err != nil {
		return false, os.NewSyscallError("lstat", err)
	}
	if err := unix.Lstat(dir+"/..", &parent); err != nil {
		return false, os.NewSyscallError("lstat", err)
	}
	return self.Dev != parent.Dev, nil
}
