package logs

import (
	"bufio"
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// checkInterval is how often a log is looked at that is followed, though nothing
// was told of it.
const checkInterval = time.Second

// follow writes what is and what comes, also after the log was rotated. It closes
// the files that it opens.
func (r *reader) follow(ctx context.Context, path string, f *file) error {
	news := watch(filepath.Dir(path))
	defer news.close()
	first := f
	defer func() {
		if f != first {
			f.Close()
		}
	}()
	in := bufio.NewReaderSize(f.growing(), bufferSize)
	for {
		// Asked before reading: what was written before the end is read.
		running := r.Running()
		if err := r.copyFrom(ctx, in); err != nil {
			return err
		}
		next, err := f.successor(path)
		if err != nil {
			return err
		}
		if next != nil {
			// Nothing is added to the old file any more.
			if err := r.finish(ctx, in); err != nil {
				next.Close()
				return err
			}
			if f != first {
				f.Close()
			}
			f, in = next, bufio.NewReaderSize(next.growing(), bufferSize)
			continue
		}
		if !running {
			return r.finish(ctx, in)
		}
		if err := r.out.Flush(); err != nil {
			return err
		}
		if !news.wait(ctx) {
			return nil
		}
	}
}

// finish writes the rest of a file that does not grow any more.
func (r *reader) finish(ctx context.Context, in *bufio.Reader) error {
	if err := r.copyFrom(ctx, in); err != nil {
		return err
	}
	line := r.pending
	r.pending = nil
	return r.write(line)
}

// watcher tells of changes in a folder.
type watcher struct {
	*fsnotify.Watcher // nil where the machine allows no more of them
}

func watch(folder string) watcher {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return watcher{}
	}
	if err := w.Add(folder); err != nil {
		w.Close()
		return watcher{}
	}
	return watcher{w}
}

func (w watcher) close() {
	if w.Watcher != nil {
		w.Close()
	}
}

// wait returns after a change, or a while. It returns false once ctx is done.
func (w watcher) wait(ctx context.Context) bool {
	timer := time.NewTimer(checkInterval)
	defer timer.Stop()
	var events chan fsnotify.Event
	var problems chan error
	if w.Watcher != nil {
		events, problems = w.Events, w.Errors
	}
	select {
	case <-ctx.Done():
		return false
	case <-events:
	case <-problems: // such as too many events: look
	case <-timer.C:
	}
	return true
}
