package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a containerd that this agent started.
type process struct {
	command *exec.Cmd
	// exited is closed when it has ended; err is valid from then on.
	exited chan struct{}
	err    error
}

// launch starts containerd in a process group of its own, so that what is sent
// to the agent's group, such as an interrupt from the terminal, spares it. Its
// output goes to a file and not to the agent, since it must live on without it.
func launch(l layout, programs Programs) (*process, error) {
	log, err := os.OpenFile(l.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open containerd's log: %w", err)
	}
	defer log.Close()
	command := exec.Command(programs.Containerd, arguments(l)...)
	command.Env = environment(programs)
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start containerd: %w", err)
	}
	p := &process{command: command, exited: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.exited)
	}()
	return p, nil
}

// arguments are containerd's. Nobody else's containerd has the same ones.
func arguments(l layout) []string { return []string{"--config", l.config} }

// environment has the programs found on its PATH, for containerd, its shims and
// the plugins. A service manager that awaits the agent must not be told by
// containerd that it is up.
func environment(programs Programs) []string {
	var dirs []string
	found := []string{programs.Containerd, programs.Shim, programs.Runc, programs.IPTables}
	for _, dir := range slices.Concat(filepath.SplitList(os.Getenv("PATH")), programDirs) {
		found = append(found, filepath.Join(dir, "program"))
	}
	for _, program := range found {
		if dir := filepath.Dir(program); filepath.IsAbs(dir) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "PATH=") || strings.HasPrefix(variable, "NOTIFY_SOCKET=")
	})
	return append(env, "PATH="+strings.Join(dirs, string(filepath.ListSeparator)))
}

// end asks containerd to end, and makes it once ctx is done. Its database bears
// that.
func (p *process) end(ctx context.Context) error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end containerd: %w", err)
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
	}
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill containerd: %w", err)
	}
	<-p.exited
	return nil
}

// leftoverGrace is what a containerd of an agent that was killed gets to end.
const leftoverGrace = 5 * time.Second

// endLeftover ends the containerd of an agent that was killed, known by its
// arguments. Its containers go on. Adopting it instead would save a fraction of
// a second, and leave a containerd with an old configuration whose end nobody
// is told of.
func endLeftover(l layout) error {
	return endAll(func(args []string) bool {
		return len(args) == 3 && slices.Equal(args[1:], arguments(l))
	})
}

// endAll ends every process whose arguments match.
func endAll(match func(args []string) bool) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || !match(processArgs(pid)) {
			continue
		}
		if err := endProcess(pid, match); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// processArgs are the arguments of a process, none if it is gone.
func processArgs(pid int) []string {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00")
}

// endProcess ends a process that is not our child. It is held by a descriptor
// before its identity is checked, so that another that gets the same number in
// the meantime is never signalled.
func endProcess(pid int, match func(args []string) bool) error {
	handle, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("hold process %d: %w", pid, err)
	}
	defer unix.Close(handle)
	if !match(processArgs(pid)) {
		return nil
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(handle, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end process %d: %w", pid, err)
		}
		if gone, err := awaitExit(handle, leftoverGrace); gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("process %d does not end, not even when killed", pid)
}

// awaitExit waits until the process of a descriptor has ended.
func awaitExit(handle int, limit time.Duration) (bool, error) {
	for end := time.Now().Add(limit); ; {
		left := time.Until(end)
		if left < 0 {
			return false, nil
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return ready > 0, err
	}
}
