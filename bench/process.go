package main

import (
	"bufio"
	"bytes"
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

// settle is how long a control plane is left alone before it counts as idle.
const settle = 10 * time.Second

// process is a running garrison.
type process struct {
	command *exec.Cmd
	dir     string
	log     bytes.Buffer
	ready   time.Duration // from start to ready
}

// start runs garrison up on a data directory and waits until it is ready.
func start(binary, dir string, flags ...string) (*process, error) {
	p := &process{dir: dir}
	p.command = exec.Command(binary, append([]string{"up", "--data-dir", dir, "--port", "0"}, flags...)...)
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

// memory is the resident memory of the process, in MB as ps and top count them
// (1024 kB), with the pages of the binary and of the mapped database.
func (p *process) memory() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if kilobytes, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.Atoi(strings.Fields(kilobytes)[0])
			return float64(n) / 1024, err
		}
	}
	return 0, errors.New("no VmRSS in /proc/PID/status")
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

// measureIdle measures a control plane with nothing to do.
func measureIdle(p plan) ([]figure, error) {
	dir, err := os.MkdirTemp("", "garrison-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	first, err := start(p.binary, dir)
	if err != nil {
		return nil, err
	}
	if _, err := first.stop(); err != nil {
		return nil, err
	}
	again, err := start(p.binary, dir)
	if err != nil {
		return nil, err
	}
	time.Sleep(settle / 2)
	before, err := again.cpu()
	if err != nil {
		return nil, err
	}
	time.Sleep(settle)
	after, err := again.cpu()
	if err != nil {
		return nil, err
	}
	memory, err := again.memory()
	if err != nil {
		return nil, err
	}
	stopping, err := again.stop()
	if err != nil {
		return nil, err
	}
	return []figure{
		{"first start to ready", seconds(first.ready), "s", 2},
		{"second start to ready", seconds(again.ready), "s", 2},
		{"idle memory", memory, "MB", 150},
		{"idle processor", 100 * seconds(after-before) / seconds(settle), "% of one core", 0},
		{"SIGTERM to end", seconds(stopping), "s", 5},
	}, nil
}
