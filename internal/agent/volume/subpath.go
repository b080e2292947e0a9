package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// subPath is a path of a volume that is to be mounted by itself. Containers may
// write to the volume at any time, so nothing in it is trusted: what is opened is
// found by the kernel, which does not let a symlink lead out, and is mounted by
// its descriptor, whatever its name may mean by then.
type subPath struct {
	volume *corev1.Volume
	// root is where the volume is, path is what is wanted of it.
	root, path string
	// target is the place to mount it on.
	target string
	index  int
	// shared tells that what containers mount in it is to be seen outside.
	shared bool
}

// errMake is the error if what is not there cannot be made.
var errMake = errors.New("make the folder")

// bind mounts the path on the target, unless that was done before.
func (s subPath) bind() error {
	root, err := unix.Open(s.root, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: s.root, Err: err}
	}
	defer unix.Close(root)
	fd, err := s.open(root)
	if errors.Is(err, unix.ENOENT) {
		if err := makePath(root, s.path); err != nil {
			return fmt.Errorf("%w %s: %w", errMake, s.path, err)
		}
		fd, err = s.open(root)
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: s.path, Err: err}
	}
	defer unix.Close(fd)
	return s.attach(fd)
}

// inside are how paths of volumes are followed: wherever their symlinks lead,
// mounts among it, but never out of the volume.
const inside = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS

// open opens what is there. An absolute symlink means a path of the machine; if
// that is one of the volume, the path is followed from there.
func (s subPath) open(root int) (int, error) {
	fd, err := unix.Openat2(root, s.path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: inside})
	if !errors.Is(err, unix.EXDEV) {
		return fd, err
	}
	base, errBase := filepath.EvalSymlinks(s.root)
	full, errFull := filepath.EvalSymlinks(filepath.Join(s.root, s.path))
	if errBase != nil || errFull != nil {
		return -1, err
	}
	rel, errRel := filepath.Rel(base, full)
	if errRel != nil || !filepath.IsLocal(rel) {
		return -1, err
	}
	return unix.Openat2(root, rel, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: inside | unix.RESOLVE_NO_SYMLINKS,
	})
}

// makePath makes the folders of a path that are missing, with the mode of the
// volume itself.
func makePath(root int, path string) error {
	var like unix.Stat_t
	if err := unix.Fstat(root, &like); err != nil {
		return err
	}
	at := ""
	for part := range strings.SplitSeq(filepath.Clean(path), "/") {
		parent := at
		at = filepath.Join(at, part)
		if err := makeOne(root, step{parent: parent, name: part, mode: like.Mode & 0o7777}); err != nil {
			return err
		}
	}
	return nil
}

// step is one folder of a path.
type step struct {
	parent, name string
	mode         uint32
}

func makeOne(root int, s step) error {
	parent := s.parent
	if parent == "" {
		parent = "."
	}
	dir, err := unix.Openat2(root, parent, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: inside})
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := unix.Mkdirat(dir, s.name, 0o700); errors.Is(err, unix.EEXIST) {
		return nil
	} else if err != nil {
		return err
	}
	made, err := unix.Openat2(dir, s.name, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: inside,
	})
	if err != nil {
		return err
	}
	defer unix.Close(made)
	return unix.Fchmod(made, s.mode)
}

// attach mounts what fd stands for on the target. What was mounted there for an
// earlier container stays if it is the same.
func (s subPath) attach(fd int) error {
	var want unix.Stat_t
	if err := unix.Fstat(fd, &want); err != nil {
		return err
	}
	mounted, err := mountPoints(s.target)
	if err != nil {
		return err
	}
	if len(mounted) > 0 {
		var has unix.Stat_t
		err := unix.Lstat(s.target, &has)
		if err == nil && has.Dev == want.Dev && has.Ino == want.Ino {
			return nil
		}
		if err := detachAll(s.target); err != nil {
			return err
		}
	}
	if err := makeTarget(s.target, want.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return err
	}
	source := fmt.Sprintf("/proc/self/fd/%d", fd)
	if err := unix.Mount(source, s.target, "", unix.MS_BIND, ""); err != nil {
		return os.NewSyscallError("bind mount", err)
	}
	if s.shared {
		return nil
	}
	// What is done to the copy must not be done to the machine's own mount.
	return os.NewSyscallError("make slave", unix.Mount("", s.target, "", unix.MS_SLAVE, ""))
}

// makeTarget makes a place to mount a folder or a file on.
func makeTarget(path string, folder bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil && info.IsDir() != folder {
		// It was for something else before.
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	if folder {
		if err := os.Mkdir(path, 0o750); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	return f.Close()
}
