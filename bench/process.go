package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running garrison.
type process struct {
	command *exec.Cmd
	dir     string
	log     bytes.Buffer
	ready   time.Duration // from start to ready
}

// start runs a control plane on a data directory and waits until it is ready.
func start(o options, dir string, flags ...string) (*process, error) {
	return launch(o, dir, append([]string{"server", "--port", "0"}, flags...)...)
}

// launch runs a command of garrison on a data directory until it says that it
// is ready.
func launch(o options, dir string, args ...string) (*process, error) {
	p := &process{dir: dir}
	p.command = exec.Command(o.binary, append(args, "--data-dir", dir)...)
	p.command.Stderr = &p.log
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("not ready: %q", line), p.command.Wait(), errors.New(p.log.String()))
	}
	p.ready = time.Since(begin)
	return p, nil
}

// with runs a control plane on a data directory of its own, for as long as measure
// takes.
func with(o options, flags []string, measure func(*process) ([]figure, error)) ([]figure, error) {
	dir, err := os.MkdirTemp("", "garrison-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p, err := start(o, dir, flags...)
	if err != nil {
		return nil, err
	}
	figures, err := measure(p)
	_, stopped := p.stop()
	return figures, errors.Join(err, stopped)
}

func (p *process) kubeconfig() string { return filepath.Join(p.dir, "admin.kubeconfig") }

// stop ends the process and returns how long that took.
func (p *process) stop() (time.Duration, error) {
	begin := time.Now()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	if err := p.command.Wait(); err != nil {
		return 0, fmt.Errorf("stop: %w\n%s", err, p.log.String())
	}
	return time.Since(begin), nil
}

// memory is the resident memory of the process in MB (10⁶ bytes), with the pages
// of the binary and of the mapped database.
func (p *process) memory() (float64, error) { return p.status("VmRSS:") }

// peak is the most memory that was ever resident, in MB.
func (p *process) peak() (float64, error) { return p.status("VmHWM:") }

func (p *process) status(name string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if kilobytes, found := strings.CutPrefix(line, name); found {
			n, err := strconv.Atoi(strings.Fields(kilobytes)[0])
			return float64(n) * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/PID/status", name)
}

// cpu is the processor time that the process has used.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	// After the name in brackets come the state and 10 numbers, then user and
	// system time in hundredths of a second.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// resting is what a process takes that has nothing to do.
type resting struct {
	load   float64 // cores in use
	memory float64 // MB
}

// atRest leaves the process alone until it counts as idle, and looks at it for
// as long again.
func (p *process) atRest() (resting, error) {
	time.Sleep(settle)
	before, err := p.cpu()
	if err != nil {
		return resting{}, err
	}
	begin := time.Now()
	time.Sleep(settle)
	after, err := p.cpu()
	if err != nil {
		return resting{}, err
	}
	r := resting{load: seconds(after-before) / seconds(time.Since(begin))}
	r.memory, err = p.memory()
	return r, err
}

// untilQuiet waits until the process has next to nothing to do.
func (p *process) untilQuiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the process is still busy"))
	defer cancel()
	const look, busy = 2 * time.Second, 200 * time.Millisecond
	for {
		before, err := p.cpu()
		if err != nil {
			return err
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if after, err := p.cpu(); err != nil || after-before < busy {
			return err
		}
	}
}
