package pause

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// within waits for a condition, and gives up after half a minute.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// start runs the program as the first process of a namespace of its own where
// that is allowed, which is how it runs in a pod, and returns once it waits.
func start(t *testing.T) *exec.Cmd {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the program is made for Linux")
	}
	program, err := Program(runtime.GOARCH)
	if err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(path)
	if os.Getuid() == 0 {
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	sigtimedwait := map[string]string{"amd64": "128", "arm64": "137"}[runtime.GOARCH]
	within(t, "the program waits for signals", func() bool {
		number, _, _ := strings.Cut(proc(t, command.Process.Pid, "syscall"), " ")
		return number == sigtimedwait
	})
	return command
}

// proc is what a file in /proc/PID holds.
func proc(t *testing.T, pid int, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// status is a field of /proc/PID/status.
func status(t *testing.T, pid int, field string) string {
	t.Helper()
	for line := range strings.Lines(proc(t, pid, "status")) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("process %d has no %s", pid, field)
	return ""
}

func TestProgramEndsWhenAsked(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			command := start(t)
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := command.Wait(); err != nil {
				t.Errorf("after %v it ended with %v, want exit code 0", signal, err)
			}
		})
	}
}

func TestProgramOutlivesBeingStopped(t *testing.T) {
	command := start(t)
	pid := command.Process.Pid
	syscall.Kill(pid, syscall.SIGSTOP)
	within(t, "it is stopped", func() bool { return strings.HasPrefix(status(t, pid, "State"), "T") })
	syscall.Kill(pid, syscall.SIGCONT)
	within(t, "it waits again", func() bool { return strings.HasPrefix(status(t, pid, "State"), "S") })
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("it ended with %v, want exit code 0", err)
	}
}

// Each shell leaves an orphan in the program's namespace, as a container does in
// a pod that shares its process namespace.
func TestProgramReapsOrphans(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a process namespace needs root")
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		t.Skip("nsenter is not installed; it is part of util-linux")
	}
	command := start(t)
	for range 3 {
		orphan := exec.Command(nsenter, "--pid", "--target", strconv.Itoa(command.Process.Pid), "sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!")
		if out, err := orphan.CombinedOutput(); err != nil {
			t.Fatalf("leave an orphan: %v: %s", err, out)
		}
	}
	children := func() []string {
		pid := command.Process.Pid
		return strings.Fields(proc(t, pid, filepath.Join("task", strconv.Itoa(pid), "children")))
	}
	within(t, "three orphans are its children", func() bool { return len(children()) == 3 })
	for _, child := range children() {
		pid, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "no zombie is left", func() bool { return len(children()) == 0 })
}

func TestProgramIsWellFormed(t *testing.T) {
	for arch, machine := range machines {
		program, err := Program(arch)
		if err != nil {
			t.Fatal(err)
		}
		file, err := elf.NewFile(bytes.NewReader(program))
		if err != nil {
			t.Fatalf("%s: %v", arch, err)
		}
		if file.Machine != machine || len(file.Progs) != 2 {
			t.Errorf("%s: got machine %v and %d segments", arch, file.Machine, len(file.Progs))
		}
		text := file.Progs[0]
		if start := file.Entry - text.Vaddr; !bytes.Equal(program[start:], code[arch]) {
			t.Errorf("%s: the entry is not the first instruction", arch)
		}
		if len(program) > 512 {
			t.Errorf("%s: %d bytes are not a few hundred", arch, len(program))
		}
	}
	if _, err := Program("mips"); err == nil {
		t.Error("a program for a machine that is not known")
	}
}

func TestArchive(t *testing.T) {
	for arch := range code {
		var archive, again bytes.Buffer
		if err := WriteArchive(&archive, arch); err != nil {
			t.Fatal(err)
		}
		if err := WriteArchive(&again, arch); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(archive.Bytes(), again.Bytes()) {
			t.Errorf("%s: two archives differ", arch)
		}
		tag, err := name.NewTag(Image)
		if err != nil {
			t.Fatal(err)
		}
		image, err := tarball.Image(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
		}, &tag)
		if err != nil {
			t.Fatal(err)
		}
		file, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if got := file.Config.Entrypoint; len(got) != 1 || got[0] != "/pause" || file.Architecture != arch || file.OS != "linux" {
			t.Errorf("%s: got entrypoint %q for %s/%s", arch, got, file.OS, file.Architecture)
		}
	}
}
