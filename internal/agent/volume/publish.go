package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The names of what readers are not meant to look at. dataLink points to the
// folder with the current version; each file that readers are meant to see is a
// symlink that leads through it, so that replacing this one link replaces all.
const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
	hidden      = ".."
)

// publish makes the contents of dir be those wanted. Who opens ..data once and
// reads from there, or follows the visible links, finds either all of the old or
// all of the new version. It does nothing if all is as it should be, and repairs
// what an earlier call that was cut short has left.
func publish(dir string, want payload, version string, group *int64) error {
	if err := want.check(); err != nil {
		return err
	}
	current, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if current == "" || !isPublished(filepath.Join(dir, current), want, group) {
		if current, err = replace(dir, want, version, group); err != nil {
			return err
		}
	}
	return tidy(dir, want, current, group)
}

// check refuses paths that would leave the version's folder or hide its links.
func (p payload) check() error {
	for name := range p {
		if !filepath.IsLocal(name) || name == "." || strings.HasPrefix(name, hidden) {
			return fmt.Errorf("invalid path %q in a volume", name)
		}
	}
	return nil
}

// replace writes a new version beside the current one and switches to it.
func replace(dir string, want payload, version string, group *int64) (string, error) {
	fresh, err := os.MkdirTemp(dir, hidden+version+".")
	if err != nil {
		return "", err
	}
	if err := write(fresh, want, group); err != nil {
		return "", errors.Join(err, os.RemoveAll(fresh))
	}
	link := filepath.Join(dir, newDataLink)
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	name := filepath.Base(fresh)
	if err := symlink(name, link, group); err != nil {
		return "", err
	}
	return name, os.Rename(link, filepath.Join(dir, dataLink))
}

// write fills a folder that nobody looks at yet.
func write(root string, want payload, group *int64) error {
	if err := own(root, 0o755|fs.ModeDir, nil, group); err != nil {
		return err
	}
	for _, name := range want.names() {
		for parent := range parents(name) {
			path := filepath.Join(root, parent)
			if err := os.Mkdir(path, 0o755); errors.Is(err, fs.ErrExist) {
				continue
			} else if err != nil {
				return err
			}
			if err := own(path, 0o755|fs.ModeDir, nil, group); err != nil {
				return err
			}
		}
		path := filepath.Join(root, name)
		if err := os.WriteFile(path, want[name].data, 0o600); err != nil {
			return err
		}
		if err := own(path, want[name].mode, want[name].uid, group); err != nil {
			return err
		}
	}
	return nil
}

// own gives a file its owners and its mode. A group of the pod may read what is in
// the volume, and what is made in its folders later is the group's, too.
func own(path string, mode fs.FileMode, uid, group *int64) error {
	if err := os.Lchown(path, id(uid), id(group)); err != nil {
		return err
	}
	return os.Chmod(path, groupMode(mode, group))
}

func groupMode(mode fs.FileMode, group *int64) fs.FileMode {
	switch {
	case group == nil:
		return mode
	case mode.IsDir():
		return mode | 0o550 | fs.ModeSetgid
	}
	return mode | 0o440
}

// id is what chown takes: -1 leaves it as it is.
func id(n *int64) int {
	if n == nil {
		return -1
	}
	return int(*n)
}

func symlink(target, path string, group *int64) error {
	if err := os.Symlink(target, path); err != nil {
		return err
	}
	return os.Lchown(path, -1, id(group))
}

// tidy makes the visible links, and removes links and versions of the past.
func tidy(dir string, want payload, current string, group *int64) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	visible := want.visible()
	var failed []error
	for _, entry := range entries {
		name := entry.Name()
		_, wanted := slices.BinarySearch(visible, name)
		old := strings.HasPrefix(name, hidden) && name != dataLink && name != current
		stale := entry.Type() == fs.ModeSymlink && !wanted && !strings.HasPrefix(name, hidden)
		if old || stale {
			failed = append(failed, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	for _, name := range visible {
		// What is there already is our link, or a folder that another volume is
		// mounted on.
		err := symlink(filepath.Join(dataLink, name), filepath.Join(dir, name), group)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// isPublished tells whether a version has the files wanted and no others.
func isPublished(root string, want payload, group *int64) bool {
	found := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		content, wanted := want[name]
		if !wanted || !isWritten(path, entry, content, group) {
			return errDiffers
		}
		found++
		return nil
	})
	return err == nil && found == len(want)
}

var errDiffers = errors.New("contents differ")

func isWritten(path string, entry fs.DirEntry, content file, group *int64) bool {
	info, err := entry.Info()
	if err != nil || !info.Mode().IsRegular() || info.Mode() != groupMode(content.mode, group) {
		return false
	}
	if uid, gid := owners(info); (content.uid != nil && int64(uid) != *content.uid) || (group != nil && int64(gid) != *group) {
		return false
	}
	data, err := os.ReadFile(path)
	return err == nil && bytes.Equal(data, content.data)
}

// names are the paths, sorted.
func (p payload) names() []string {
	out := make([]string, 0, len(p))
	for name := range p {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// visible are the first parts of all paths, sorted, each once.
func (p payload) visible() []string {
	var out []string
	for name := range p {
		top, _, _ := strings.Cut(name, "/")
		out = append(out, top)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// parents are the folders that a path needs, outermost first.
func parents(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := range name {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
	}
}
