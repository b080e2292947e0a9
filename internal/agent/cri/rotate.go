package cri

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Rotated logs bear the time, and are compressed from the second on: the newest
// may still be written to while the runtime opens a new one.
const (
	rotatedTime      = "20060102-150405"
	compressedSuffix = ".gz"
	unfinishedSuffix = ".tmp"
)

// RotateLogs puts the logs of running containers aside that have reached maxSize
// bytes, and keeps at most maxFiles files of each container, the current one
// included.
func (r *Runtime) RotateLogs(ctx context.Context, maxSize int64, maxFiles int) error {
	now, err := r.list(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for id, c := range now.containers {
		if c.state != runtimeapi.ContainerState_CONTAINER_RUNNING || c.record.LogPath == "" {
			continue
		}
		if err := r.rotate(ctx, id, rotation{log: c.record.LogPath, maxSize: maxSize, maxFiles: maxFiles, now: time.Now()}); err != nil {
			problems = append(problems, fmt.Errorf("rotate the log of container %s of pod %s: %w", c.record.Name, c.pod, err))
		}
	}
	return errors.Join(problems...)
}

// rotation is what is to be done with one log.
type rotation struct {
	log      string
	maxSize  int64
	maxFiles int
	now      time.Time
}

func (r *Runtime) rotate(ctx context.Context, id string, plan rotation) error {
	info, err := os.Stat(plan.log)
	switch {
	case errors.Is(err, os.ErrNotExist): // as after a rotation that was broken off
		return r.reopen(ctx, id)
	case err != nil:
		return err
	case info.Size() < plan.maxSize:
		return nil
	}
	aside := plan.log + "." + plan.now.Format(rotatedTime)
	if exists(aside) { // its turn comes in a second
		return nil
	}
	if err := plan.tidy(); err != nil {
		return err
	}
	if err := os.Rename(plan.log, aside); err != nil {
		return err
	}
	if err := r.reopen(ctx, id); err != nil {
		// The runtime goes on writing to what it has open: put that back.
		return errors.Join(err, os.Rename(aside, plan.log))
	}
	return nil
}

func (r *Runtime) reopen(ctx context.Context, id string) error {
	_, err := r.runtime.ReopenContainerLog(ctx, &runtimeapi.ReopenContainerLogRequest{ContainerId: id})
	if err != nil {
		return fmt.Errorf("reopen the log of container %s: %w", id, plain(err))
	}
	return nil
}

// tidy removes what is unfinished or too old, and compresses the rest, so that
// there is room for one more rotated log and the current one.
func (p rotation) tidy() error {
	files, err := filepath.Glob(p.log + ".*")
	if err != nil {
		return err
	}
	slices.Sort(files) // by time
	var rotated []string
	for _, f := range files {
		unfinished := strings.HasSuffix(f, unfinishedSuffix) || slices.Contains(files, f+compressedSuffix)
		if !unfinished {
			rotated = append(rotated, f)
			continue
		}
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	keep := max(p.maxFiles-2, 0)
	for len(rotated) > keep {
		if err := os.Remove(rotated[0]); err != nil {
			return err
		}
		rotated = rotated[1:]
	}
	for _, f := range rotated {
		if strings.HasSuffix(f, compressedSuffix) {
			continue
		}
		if err := compress(f); err != nil {
			return fmt.Errorf("compress %s: %w", f, err)
		}
	}
	return nil
}

// compress replaces a file by a compressed one.
func compress(name string) (err error) {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(name+unfinishedSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode())
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(name+unfinishedSuffix))
		}
	}()
	writer := gzip.NewWriter(out)
	_, err = io.Copy(writer, in)
	if err = errors.Join(err, writer.Close(), out.Close()); err != nil {
		return err
	}
	if err = os.Rename(name+unfinishedSuffix, name+compressedSuffix); err != nil {
		return err
	}
	return os.Remove(name)
}
