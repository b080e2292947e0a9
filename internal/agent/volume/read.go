package volume

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// maxFile is the most that is read of a file which a container may have written.
const maxFile = 1 << 20

// File reads a file of a pod's volume, for variables that come from files. A file
// that is not there is fs.ErrNotExist.
func (m *Manager) File(pod *corev1.Pod, name, path string) ([]byte, error) {
	v := volumeNamed(pod, name)
	if v == nil {
		return nil, fmt.Errorf("cannot find the volume %q referenced by FileKeyRef", name)
	}
	root, err := unix.Open(m.volumePath(pod.UID, v), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open volume", Path: name, Err: err}
	}
	defer unix.Close(root)
	// Without O_NONBLOCK a named pipe would keep us for ever.
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: inside,
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errors.New("the file is too large")
	}
	return data, err
}
