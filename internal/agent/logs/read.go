package logs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The streams of a container.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

const (
	bufferSize = 64 << 10
	// timeLayout has all digits, so that times align.
	timeLayout = "2006-01-02T15:04:05.000000000Z07:00"
)

// Options say what of a log is wanted. The zero value wants all of it.
type Options struct {
	// Tail is how many lines from the end, at most.
	Tail *int64
	// Limit is how many bytes, at most.
	Limit *int64
	// Since leaves out what was written before.
	Since time.Time
	// Stream is the only one wanted, if set.
	Stream string
	// Timestamps has each line begin with its time.
	Timestamps bool
	// Running tells whether more may be written. If set, the log is followed until
	// it says no.
	Running func() bool
}

// OptionsFrom takes over what a client asks for; but for following, which needs to
// know about the container.
func OptionsFrom(o *corev1.PodLogOptions, now time.Time) Options {
	out := Options{Tail: o.TailLines, Limit: o.LimitBytes, Timestamps: o.Timestamps}
	switch {
	case o.SinceSeconds != nil:
		out.Since = now.Add(-time.Duration(*o.SinceSeconds) * time.Second)
	case o.SinceTime != nil:
		out.Since = o.SinceTime.Time
	}
	if o.Stream != nil {
		switch *o.Stream {
		case corev1.LogStreamStdout:
			out.Stream = Stdout
		case corev1.LogStreamStderr:
			out.Stream = Stderr
		}
	}
	return out
}

// Read writes the log at path to out, with what was rotated out of it before. It
// ends when all was written, when ctx is done, or with an error. Of a log that is
// followed, what was rotated twice while out took nothing is lost.
func Read(ctx context.Context, path string, o Options, out io.Writer) error {
	all, err := openFiles(path)
	if err != nil {
		return err
	}
	defer all.close()
	r := &reader{Options: o, out: bufio.NewWriterSize(out, bufferSize), room: math.MaxInt64, open: map[string]bool{}}
	if o.Limit != nil {
		r.room = *o.Limit
	}
	err = r.read(ctx, path, all)
	if err == nil || errors.Is(err, errEnough) {
		err = r.out.Flush()
	}
	if err != nil {
		return fmt.Errorf("read the log %s: %w", path, err)
	}
	return nil
}

// errEnough says that no more is to be written.
var errEnough = errors.New("enough")

// reader writes the entries of one log.
type reader struct {
	Options
	out *bufio.Writer
	// skip is how many lines are left out first, room how many bytes may still be
	// written.
	skip, room int64
	// open has the streams whose last line has not ended.
	open map[string]bool
	// pending is the beginning of an entry whose end has not been read.
	pending []byte
}

func (r *reader) read(ctx context.Context, path string, all files) error {
	first, err := r.findStart(all)
	if err != nil {
		return err
	}
	last := len(all) - 1
	for _, f := range all[first:last] {
		if f.info.ModTime().Before(r.Since) {
			r.skip = 0 // they were all in here
			continue
		}
		content, err := f.content()
		if err != nil {
			return err
		}
		if err := r.finish(ctx, bufio.NewReaderSize(content, bufferSize)); err != nil {
			return err
		}
	}
	if r.Running != nil {
		return r.follow(ctx, path, all[last])
	}
	content, err := all[last].content()
	if err != nil {
		return err
	}
	return r.finish(ctx, bufio.NewReaderSize(content, bufferSize))
}

// findStart finds the file that the wanted lines begin in, and how many of it are
// to be skipped.
func (r *reader) findStart(all files) (int, error) {
	if r.Tail == nil {
		return 0, nil
	}
	total := int64(0)
	for i := len(all) - 1; i >= 0; i-- {
		content, err := all[i].content()
		if err != nil {
			return 0, err
		}
		lines, err := countLines(content)
		if err != nil {
			return 0, err
		}
		if total += lines; total >= *r.Tail {
			r.skip = total - *r.Tail
			return i, nil
		}
	}
	return 0, nil
}

// copyFrom writes the entries up to the end of what can be read now.
func (r *reader) copyFrom(ctx context.Context, in *bufio.Reader) error {
	for ctx.Err() == nil {
		part, err := in.ReadBytes('\n')
		if err == nil {
			line := append(r.pending, part...)
			r.pending = nil
			if err := r.write(line); err != nil {
				return err
			}
			continue
		}
		r.pending = append(r.pending, part...)
		if err == io.EOF {
			return nil
		}
		return err
	}
	return nil
}

// write writes an entry, if it is wanted. What is none is left out: a machine that
// lost power may leave anything.
func (r *reader) write(line []byte) error {
	e, ok := parse(line)
	if !ok {
		return nil
	}
	if r.skip > 0 {
		if !e.partial {
			r.skip--
		}
		return nil
	}
	at, err := e.time()
	if err != nil || at.Before(r.Since) || r.Stream != "" && r.Stream != e.stream {
		return nil
	}
	text := e.text
	if r.Timestamps && !r.open[e.stream] {
		text = append(at.AppendFormat(nil, timeLayout+" "), text...)
	}
	r.open[e.stream] = e.partial
	text = text[:min(int64(len(text)), r.room)]
	r.room -= int64(len(text))
	if _, err := r.out.Write(text); err != nil {
		return err
	}
	if r.room <= 0 {
		return errEnough
	}
	return nil
}
