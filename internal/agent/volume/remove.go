package volume

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// within are how folders of pods are walked: never along a symlink, never across
// a mount.
const within = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV

// removeTree deletes an entry of a folder with all that is in it. What is mounted
// in there is not touched, and makes it fail.
func removeTree(parent int, name string) error {
	err := unix.Unlinkat(parent, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	fd, err := unix.Openat2(parent, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: within,
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EXDEV):
		return fmt.Errorf("remove %s: something is mounted there", name)
	case err != nil:
		return &os.PathError{Op: "remove", Path: name, Err: err}
	}
	dir := os.NewFile(uintptr(fd), name)
	entries, err := dir.Readdirnames(-1)
	failed := []error{err}
	for _, entry := range entries {
		failed = append(failed, removeTree(fd, entry))
	}
	if err := errors.Join(append(failed, dir.Close())...); err != nil {
		return err
	}
	if err := unix.Unlinkat(parent, name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return &os.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}
