package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
)

// setUpHostPath checks a host path until it was as it should be.
func (m *Manager) setUpHostPath(uid types.UID, v *corev1.Volume) error {
	m.mu.Lock()
	done := m.checked[uid].Has(v.Name)
	m.mu.Unlock()
	if done {
		return nil
	}
	if err := checkHostPath(v.HostPath); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.checked[uid] == nil {
		m.checked[uid] = sets.New[string]()
	}
	m.checked[uid].Insert(v.Name)
	return nil
}

// checkHostPath sees to it that the path is of the type that is wanted. It makes
// what may be made; what is there is left as it is.
func checkHostPath(source *corev1.HostPathVolumeSource) error {
	path := source.Path
	if slices.Contains(strings.Split(path, "/"), "..") {
		return fmt.Errorf("invalid HostPath `%s`: must not contain '..'", path)
	}
	var kind corev1.HostPathType
	if source.Type != nil {
		kind = *source.Type
	}
	info, err := os.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	isType := func(t fs.FileMode) bool { return err == nil && info.Mode().Type() == t }
	var holds bool
	var what string
	switch kind {
	case corev1.HostPathUnset:
		return nil
	case corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory:
		if missing && kind == corev1.HostPathDirectoryOrCreate {
			return makeHostDirectory(path)
		}
		holds, what = isType(fs.ModeDir), "a directory"
	case corev1.HostPathFileOrCreate, corev1.HostPathFile:
		if missing && kind == corev1.HostPathFileOrCreate {
			return makeHostFile(path)
		}
		holds, what = isType(0), "a file"
	case corev1.HostPathSocket:
		holds, what = isType(fs.ModeSocket), "a socket file"
	case corev1.HostPathCharDev:
		holds, what = isType(fs.ModeDevice|fs.ModeCharDevice), "a character device"
	case corev1.HostPathBlockDev:
		holds, what = isType(fs.ModeDevice), "a block device"
	default:
		return fmt.Errorf("%s is an invalid volume type", kind)
	}
	if !holds {
		return fmt.Errorf("hostPath type check failed: %s is not %s", path, what)
	}
	return nil
}

func makeHostDirectory(path string) error {
	return os.MkdirAll(filepath.Clean(path), 0o755)
}

// makeHostFile makes an empty file; its folder has to be there.
func makeHostFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
