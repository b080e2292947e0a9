package script

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// stopLimit is how long a control plane may take to end after SIGTERM.
	stopLimit = 5 * time.Second
	// slack is allowed on top, for a machine that does much else.
	slack = 5 * time.Second
)

// readyLine is the one line that a control plane prints when it is ready.
var readyLine = regexp.MustCompile(`(?m)^garrison is ready at (https://\S+), kubeconfig (\S+)$|^garrison agent is ready: node \S+ at \S+$`)

// plane is a running garrison.
type plane struct {
	command *exec.Cmd
	address string // URL
	done    chan struct{}
	err     error // of Wait, once done is closed
	log     *lockedBuffer
}

type planeConfig struct {
	args, env []string
	dir       string   // working directory
	enter     []string // a command to run it with, none by default
}

// startPlane starts a control plane and waits for its ready line.
func startPlane(cfg planeConfig) (*plane, error) {
	line := append(append(slices.Clone(cfg.enter), binary), cfg.args...)
	p := &plane{command: exec.Command(line[0], line[1:]...), done: make(chan struct{}), log: &lockedBuffer{}}
	p.command.Dir, p.command.Env, p.command.Stderr = cfg.dir, cfg.env, p.log
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	first := make(chan string, 1)
	go func() {
		defer close(p.done)
		reader := bufio.NewReader(stdout)
		line, _ := reader.ReadString('\n')
		first <- line
		rest, _ := io.ReadAll(reader)
		p.err = p.command.Wait()
		if len(rest) > 0 {
			p.err = errors.Join(p.err, fmt.Errorf("more than the ready line on standard output: %q", rest))
		}
	}()
	select {
	case line := <-first:
		match := readyLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if match == nil {
			return nil, fmt.Errorf("garrison did not become ready: stdout %q, log:\n%s", line, p.end())
		}
		p.address = match[1]
		return p, nil
	case <-time.After(patience):
		return nil, fmt.Errorf("garrison is not ready after %v, log:\n%s", patience, p.end())
	}
}

// stop ends the plane with SIGTERM and complains about whatever was not in
// order: the time it took, its exit code, its output, its log.
func (p *plane) stop() error {
	begin := time.Now()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop garrison: %w", err)
	}
	select {
	case <-p.done:
	case <-time.After(stopLimit + slack):
		return fmt.Errorf("garrison still runs %v after SIGTERM, log:\n%s", time.Since(begin), p.log)
	}
	if p.err != nil {
		return fmt.Errorf("after SIGTERM: %w, log:\n%s", p.err, p.log)
	}
	if log := p.log.String(); log != "" {
		return fmt.Errorf("all was well and yet garrison logged:\n%s", log)
	}
	return nil
}

// end kills the plane if it still runs, waits for it and returns its log.
func (p *plane) end() string {
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Sprintf("kill garrison: %v", err)
	}
	<-p.done
	return p.log.String()
}

// lockedBuffer is a buffer that may be read while it is written to.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
