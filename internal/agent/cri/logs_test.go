package cri_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/cri"
)

func testTerminationMessage(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [
		{terminationMessagePath: /tmp/message},
		{terminationMessagePolicy: FallbackToLogsOnError},
		{terminationMessagePolicy: FallbackToLogsOnError},
		{},
		{terminationMessagePolicy: FallbackToLogsOnError}]}`)
	for i, test := range []struct{ does, want string }{
		{"printf early >/tmp/message; printf late >>/tmp/message; exit 1", "earlylate"},
		{"echo out; echo more; exit 1", "out\nmore\n"},
		{"echo out; exit 0", ""},
		{"seq 3000 >/dev/termination-log", last(seq(3000), 4096)},
		{"printf unfinished; exit 1", "unfinished"},
	} {
		c := b.ended(b.start(b.config(i, "sh", "-c", test.does)))
		if c.Message != test.want {
			t.Errorf("%s: got %q, want %q", test.does, c.Message, test.want)
		}
	}
}

// What a container can put in place of its message is not read.
func testForeignMessage(t *testing.T, l *lab) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := l.open(t, ``)
	config := b.config(0, "true")
	config.Mounts = []agent.Mount{{HostPath: filepath.Join(dir, "secret"), ContainerPath: "/dev/termination-log"}}
	if c := b.ended(b.start(config)); c.Message != "" {
		t.Errorf("got %q", c.Message)
	}
}

func seq(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
}

func last(s string, n int) string { return s[max(len(s)-n, 0):] }

func testLog(t *testing.T, l *lab) {
	b := l.open(t, ``)
	id := b.start(b.config(0, "sh", "-c", "echo out; echo err >&2"))
	c := b.ended(id)
	if want := filepath.Join(b.logDirectory(), "c0", "0.log"); c.LogPath != want {
		t.Errorf("got log %s, want %s", c.LogPath, want)
	}
	log, err := os.ReadFile(c.LogPath)
	if err != nil || !bytes.Contains(log, []byte(" stdout F out\n")) || !bytes.Contains(log, []byte(" stderr F err\n")) {
		t.Errorf("got %q (%v)", log, err)
	}
	link := filepath.Join(l.options.LinksDirectory, "log_cri_c0-"+id+".log")
	if target, err := os.Readlink(link); err != nil || target != c.LogPath {
		t.Errorf("the link leads to %s (%v)", target, err)
	}
	if err := b.RemoveContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{link, c.LogPath} {
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left over (%v)", name, err)
		}
	}
}

func testRotation(t *testing.T, l *lab) {
	b := l.open(t, ``)
	id := b.start(b.config(0, "sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); busybox usleep 1000; done"))
	log := filepath.Join(b.logDirectory(), "c0", "0.log")
	size := func() int64 {
		info, err := os.Stat(log)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	var rotated []string
	for range 4 {
		eventually(t, "the log has grown", func() bool { return size() > 2000 })
		eventually(t, "the log was rotated", func() bool {
			before := rotated
			if err := l.RotateLogs(t.Context(), 2000, 3); err != nil {
				t.Fatal(err)
			}
			var err error
			if rotated, err = filepath.Glob(log + ".*"); err != nil {
				t.Fatal(err)
			}
			return len(rotated) > 0 && (len(before) == 0 || rotated[len(rotated)-1] != before[len(before)-1])
		})
	}
	if len(rotated) != 2 || !strings.HasSuffix(rotated[0], ".gz") || strings.HasSuffix(rotated[1], ".gz") {
		t.Errorf("want one compressed log and one that is not, not %v", rotated)
	}
	before := size()
	eventually(t, "the new log grows", func() bool { return size() != before })
	if err := b.KillContainer(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
}

func testOutput(t *testing.T, l *lab) {
	b := l.open(t, ``)
	id := b.start(b.config(0))
	result, err := b.Exec(t.Context(), id, []string{"sh", "-c", "yes | head -c 1000000; echo err >&2"})
	if err != nil || len(result.Output) != 16<<10 {
		t.Errorf("want 16 KiB, not %d bytes (%v)", len(result.Output), err)
	}
	result, err = b.Exec(t.Context(), id, []string{"sh", "-c", "echo out; echo err >&2"})
	if err != nil || string(result.Output) != "out\nerr\n" {
		t.Errorf("got %q (%v)", result.Output, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = b.Exec(ctx, id, []string{"sleep", "12345"})
	if err == nil || !strings.HasPrefix(err.Error(), `command "sleep 12345" timed out`) {
		t.Errorf("got %v", err)
	}
	eventually(t, "the command was killed", func() bool { return !strings.Contains(b.sh(id, "ps"), "sleep 12345") })
}

func testStreams(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{stdin: true}]}`)
	id := b.start(b.config(0))
	urls := map[string]func() (string, error){
		"/exec/": func() (string, error) {
			return b.ExecURL(t.Context(), id, []string{"sh"}, cri.Streams{Stdin: true, Stdout: true, TTY: true})
		},
		"/attach/": func() (string, error) {
			return b.AttachURL(t.Context(), id, cri.Streams{Stdin: true, Stdout: true, Stderr: true})
		},
		"/portforward/": func() (string, error) { return b.PortForwardURL(t.Context(), b.sandbox, []int32{80}) },
	}
	for path, prepare := range urls {
		if url, err := prepare(); err != nil || !strings.HasPrefix(url, "http://127.0.0.1:") || !strings.Contains(url, path) {
			t.Errorf("%s: got %q (%v)", path, url, err)
		}
	}
}
