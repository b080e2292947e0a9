package logs

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	compressedSuffix = ".gz"
	unfinishedSuffix = ".tmp"
)

// file is one file of a log, open.
type file struct {
	*os.File
	info os.FileInfo
}

func openFile(path string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &file{f, info}, nil
}

// content reads the file as it was when it was opened.
func (f *file) content() (io.Reader, error) {
	raw := io.NewSectionReader(f, 0, f.info.Size())
	if !strings.HasSuffix(f.Name(), compressedSuffix) {
		return raw, nil
	}
	return gzip.NewReader(raw)
}

// growing reads the file, and after each end what was added since.
func (f *file) growing() io.Reader { return io.NewSectionReader(f, 0, math.MaxInt64) }

// successor opens the file that has taken the place of f at path, nil if there is
// none, or nothing in it: until then the runtime may still write to f.
func (f *file) successor(path string) (*file, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case os.SameFile(info, f.info) || info.Size() == 0:
		return nil, nil
	}
	return openFile(path)
}

// files are those of one log, the oldest first. The last is the one that is
// written to.
type files []*file

func (l files) close() {
	for _, f := range l {
		f.Close()
	}
}

// openFiles opens the log at path and what was rotated out of it. The current
// file is opened first: if it is rotated meanwhile it is met again, and known.
func openFiles(path string) (files, error) {
	current, err := openFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all files
	rotated, globErr := filepath.Glob(path + ".*")
	if globErr != nil {
		return nil, globErr
	}
	slices.Sort(rotated) // by time
	for _, name := range rotated {
		plain, compressed := strings.CutSuffix(name, compressedSuffix)
		if strings.HasSuffix(name, unfinishedSuffix) || compressed && slices.Contains(rotated, plain) {
			continue
		}
		f, err := openFile(name)
		if errors.Is(err, fs.ErrNotExist) { // compressed meanwhile
			f, err = openFile(name + compressedSuffix)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			all.close()
			return nil, err
		case current != nil && os.SameFile(f.info, current.info):
			f.Close()
		default:
			all = append(all, f)
		}
	}
	if current != nil {
		return append(all, current), nil
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no log at %s: %w", path, err)
	}
	return all, nil // between two files
}
