package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// Usage is what one volume takes of its file system. Sizes are in bytes.
type Usage struct {
	Name string
	// Used is what the files take, Limit what they may take at most: the
	// sizeLimit of an emptyDir, and 0 if there is none.
	Used, Limit int64
	InodesUsed  int64
	// Memory tells that the files are in memory and not on disk.
	Memory bool
	// The rest is about the file system as a whole.
	Capacity, Available, Inodes, InodesFree int64
}

// Usage measures the volumes of a pod that are kept here, in their order. Reading
// all folders takes time, and their contents may change meanwhile. A volume that
// has not been set up is left out.
func (m *Manager) Usage(ctx context.Context, pod *corev1.Pod) ([]Usage, error) {
	var out []Usage
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if pluginOf(v) == "" {
			continue
		}
		usage, err := measure(ctx, m.volumePath(pod.UID, v))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("measure volume %s: %w", v.Name, err)
		}
		usage.Name = v.Name
		if v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil {
			usage.Limit = v.EmptyDir.SizeLimit.Value()
		}
		out = append(out, usage)
	}
	return out, nil
}

func measure(ctx context.Context, dir string) (Usage, error) {
	var whole unix.Statfs_t
	if err := unix.Statfs(dir, &whole); err != nil {
		return Usage{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	var top unix.Stat_t
	if err := unix.Lstat(dir, &top); err != nil {
		return Usage{}, &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	sum := sum{device: top.Dev, linked: map[uint64]bool{}}
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went meanwhile
		}
		if err != nil {
			return err
		}
		return sum.add(info)
	})
	return Usage{
		Used:       sum.bytes,
		InodesUsed: sum.inodes,
		Memory:     whole.Type == unix.TMPFS_MAGIC || whole.Type == unix.HUGETLBFS_MAGIC,
		Capacity:   int64(whole.Blocks) * whole.Bsize,
		Available:  int64(whole.Bavail) * whole.Bsize,
		Inodes:     int64(whole.Files),
		InodesFree: int64(whole.Ffree),
	}, err
}

// sum adds up what files of one device take, each once whatever its names.
type sum struct {
	device        uint64
	linked        map[uint64]bool // inodes of files with several names
	bytes, inodes int64
}

func (s *sum) add(info fs.FileInfo) error {
	stat := info.Sys().(*syscall.Stat_t)
	if info.IsDir() && stat.Dev != s.device {
		return fs.SkipDir // another file system is mounted there
	}
	if !info.IsDir() && stat.Nlink > 1 {
		if s.linked[stat.Ino] {
			return nil
		}
		s.linked[stat.Ino] = true
	}
	s.bytes += stat.Blocks * 512 // the unit of st_blocks, whatever the file system's
	s.inodes++
	return nil
}
