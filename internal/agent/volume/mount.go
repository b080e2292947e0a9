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
	// Later lines are mounted over earlier ones of the same place.
	slices.Reverse(out)
	slices.SortStableFunc(out, func(a, b string) int {
		return cmp.Compare(strings.Count(b, "/"), strings.Count(a, "/"))
	})
	return out, lines.Err()
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// detachAll unmounts all that is mounted at and under dir. Each mount is made
// private before anything is unmounted: one that is shared would pass on to the
// machine, whose mounts it may mirror, that what is mounted on it has gone.
func detachAll(dir string) error {
	points, err := mountPoints(dir)
	if err != nil {
		return err
	}
	for _, point := range points {
		if err := unix.Mount("", point, "", unix.MS_PRIVATE, ""); err != nil {
			return os.NewSyscallError("make private "+point, err)
		}
	}
	var failed []error
	for _, point := range points {
		if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			failed = append(failed, os.NewSyscallError("unmount "+point, err))
		}
	}
	return errors.Join(failed...)
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
