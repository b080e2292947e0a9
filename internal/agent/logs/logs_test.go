package logs_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/garrison-project/garrison/internal/agent/logs"
)

// TestRead reads logs that are given as files:
//
//	file 0.log
//	<lines; \ at the end of the last leaves out its newline>
//
//	read tail=2 limit=10 since=12:00:01 stream=stderr timestamps
//
// Files whose names end with .gz are compressed.
func TestRead(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		folder := t.TempDir()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "file":
				write(t, filepath.Join(folder, d.CmdArgs[0].Key), strings.TrimSuffix(d.Input+"\n", "\\\n"))
				return ""
			case "remove":
				if err := os.Remove(filepath.Join(folder, d.CmdArgs[0].Key)); err != nil {
					d.Fatalf(t, "%v", err)
				}
				return ""
			case "read":
				var out strings.Builder
				if err := logs.Read(t.Context(), filepath.Join(folder, "0.log"), options(t, d), &out); err != nil {
					return strings.ReplaceAll(err.Error(), folder, "") + "\n"
				}
				text := out.String()
				if text != "" && !strings.HasSuffix(text, "\n") {
					text += "\\\n"
				}
				return text
			}
			d.Fatalf(t, "no command %s", d.Cmd)
			return ""
		})
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if strings.HasSuffix(path, ".gz") {
		w := gzip.NewWriter(f)
		defer w.Close()
		_, err = w.Write([]byte(text))
	} else {
		_, err = f.WriteString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func options(t *testing.T, d *datadriven.TestData) logs.Options {
	var o corev1.PodLogOptions
	number := func(text string) *int64 {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return &n
	}
	now := time.Date(2026, 3, 1, 12, 1, 0, 0, time.UTC)
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "tail":
			o.TailLines = number(a.Vals[0])
		case "limit":
			o.LimitBytes = number(a.Vals[0])
		case "seconds":
			o.SinceSeconds = number(a.Vals[0])
		case "since":
			at, err := time.Parse(time.DateTime, "2026-03-01 "+a.Vals[0])
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			since := metav1.NewTime(at)
			o.SinceTime = &since
		case "stream":
			o.Stream = &a.Vals[0]
		case "timestamps":
			o.Timestamps = true
		default:
			d.Fatalf(t, "no option %s", a.Key)
		}
	}
	return logs.OptionsFrom(&o, now)
}

// log is a log that a container writes to.
type log struct {
	t    *testing.T
	path string
	f    *os.File

	mu      sync.Mutex
	running bool
}

func newLog(t *testing.T) *log {
	l := &log{t: t, path: filepath.Join(t.TempDir(), "0.log"), running: true}
	l.create()
	t.Cleanup(func() { l.f.Close() })
	return l
}

func (l *log) create() {
	l.t.Helper()
	var err error
	if l.f, err = os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *log) raw(text string) {
	l.t.Helper()
	if _, err := l.f.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
}

func (l *log) line(text string) { l.raw("2026-03-01T12:00:00.5Z stdout F " + text + "\n") }

func (l *log) aside() {
	l.t.Helper()
	if err := os.Rename(l.path, l.path+".20260301-120000"); err != nil {
		l.t.Fatal(err)
	}
}

func (l *log) isRunning() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

func (l *log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
}

// follower has what was written to the one who follows a log.
type follower struct {
	mu   sync.Mutex
	text strings.Builder
	news chan struct{}
	done chan error
}

func (f *follower) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text.Write(p)
	select {
	case f.news <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *log) follow(ctx context.Context, o logs.Options) *follower {
	f := &follower{news: make(chan struct{}, 1), done: make(chan error, 1)}
	o.Running = l.isRunning
	go func() { f.done <- logs.Read(ctx, l.path, o, f) }()
	return f
}

// await waits until the follower has exactly the text.
func (f *follower) await(t *testing.T, want string) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		f.mu.Lock()
		have := f.text.String()
		f.mu.Unlock()
		if have == want {
			return
		}
		select {
		case <-f.news:
		case <-limit:
			t.Fatalf("have %q, want %q", have, want)
		}
	}
}

func (f *follower) end(t *testing.T) {
	t.Helper()
	select {
	case err := <-f.done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the log is followed still")
	}
}

func TestFollowUntilTheContainerEnds(t *testing.T) {
	l := newLog(t)
	l.line("one")
	f := l.follow(t.Context(), logs.Options{})
	f.await(t, "one\n")
	l.raw("2026-03-01T12:00:00.5Z stdout F tw")
	l.raw("o\n")
	f.await(t, "one\ntwo\n")
	l.end()
	l.line("last words")
	f.end(t)
	f.await(t, "one\ntwo\nlast words\n")
}

func TestFollowFromTheEnd(t *testing.T) {
	l := newLog(t)
	for i := range 5 {
		l.line(strconv.Itoa(i))
	}
	tail, none := int64(2), int64(0)
	some, fresh := l.follow(t.Context(), logs.Options{Tail: &tail}), l.follow(t.Context(), logs.Options{Tail: &none})
	some.await(t, "3\n4\n")
	l.line("5")
	some.await(t, "3\n4\n5\n")
	l.end()
	some.end(t)
	fresh.end(t)
}

// TestFollowAcrossRotation writes to the old file still when the new one is there,
// as runtimes do for a moment.
func TestFollowAcrossRotation(t *testing.T) {
	l := newLog(t)
	f := l.follow(t.Context(), logs.Options{})
	want := ""
	add := func(text string) {
		l.line(text)
		want += text + "\n"
	}
	for round := range 3 {
		add(fmt.Sprint("before ", round))
		f.await(t, want)
		l.aside()
		add(fmt.Sprint("while aside ", round))
		f.await(t, want)
		old := l.f
		l.create()
		if _, err := old.WriteString("2026-03-01T12:00:00.5Z stdout F to the old\n"); err != nil {
			t.Fatal(err)
		}
		old.Close()
		want += "to the old\n"
		f.await(t, want)
		add(fmt.Sprint("after ", round))
		f.await(t, want)
	}
	l.end()
	f.end(t)
}

func TestFollowEndsWithTheClient(t *testing.T) {
	l := newLog(t)
	l.line("one")
	ctx, cancel := context.WithCancel(t.Context())
	f := l.follow(ctx, logs.Options{})
	f.await(t, "one\n")
	cancel()
	f.end(t)
}

func TestFollowStopsAtTheLimit(t *testing.T) {
	l := newLog(t)
	limit := int64(5)
	f := l.follow(t.Context(), logs.Options{Limit: &limit})
	l.line("one")
	f.await(t, "one\n")
	l.line("two")
	f.end(t)
	f.await(t, "one\nt")
}

func TestReadEndsWhenNothingIsTaken(t *testing.T) {
	l := newLog(t)
	l.line("one")
	err := logs.Read(t.Context(), l.path, logs.Options{Running: l.isRunning}, broken{})
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

var errBroken = errors.New("broken pipe")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }
