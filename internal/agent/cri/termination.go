package cri

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// Limits of a termination message: of one that the container wrote, and of one
// that its log stands in for. Sizes are in bytes.
const (
	maxMessageFile = 4096
	maxLogLines    = 80
	maxLogMessage  = 2048
)

// terminationMessage says how a container ended: what the runtime says, then
// what the container wrote.
func (r *Runtime) terminationMessage(status *runtimeapi.ContainerStatus) string {
	said := status.GetMessage()
	wrote := writtenMessage(status, r.messageFile(status))
	if said == "" || wrote == "" {
		return said + wrote
	}
	return said + ": " + wrote
}

// writtenMessage is the contents of the container's file, or the end of its log
// where it failed, left the file empty and wants that.
func writtenMessage(status *runtimeapi.ContainerStatus, file string) string {
	var message []byte
	var err error
	if file != "" {
		message, err = tail(file, maxMessageFile)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Sprintf("Error on reading termination log %s: %v", file, err)
		}
	}
	policy := corev1.TerminationMessagePolicy(status.GetAnnotations()[messagePolicyAnnotation])
	if len(message) > 0 || status.GetExitCode() == 0 || policy != corev1.TerminationMessageFallbackToLogsOnError {
		return string(message)
	}
	message, err = endOfLog(status.GetLogPath())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Sprintf("Error on reading termination message from logs: %v", err)
	}
	return string(message)
}

// messageFile is the file that was made for a container's termination message,
// empty if there is none. What else may be mounted there is not read: a container
// that can write to that volume could have put a link to any file of the machine
// in its place.
func (r *Runtime) messageFile(status *runtimeapi.ContainerStatus) string {
	inside := status.GetAnnotations()[messagePathAnnotation]
	if inside == "" || r.options.PodsDirectory == "" {
		return ""
	}
	for _, m := range status.GetMounts() {
		if filepath.Clean(m.GetContainerPath()) != filepath.Join("/", inside) {
			continue
		}
		pod := podOf(status.GetLabels())
		if within(r.messageFolder(pod.UID), m.GetHostPath()) {
			return m.GetHostPath()
		}
	}
	return ""
}

// mountable tells whether the file of a termination message can be mounted: not
// where something is mounted already, nor below a read-only mount that has no such
// file. There no container could start, and none could write a message without.
func mountable(mounts []agent.Mount, inside string) bool {
	inside = filepath.Clean(inside)
	var around agent.Mount
	for _, m := range mounts {
		path := filepath.Clean(m.ContainerPath)
		if path == inside {
			return false
		}
		if within(path, inside) && len(path) >= len(filepath.Clean(around.ContainerPath)) {
			around = m
		}
	}
	if !around.ReadOnly {
		return true
	}
	relative, err := filepath.Rel(filepath.Clean(around.ContainerPath), inside)
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(around.HostPath, relative))
	return err == nil
}

// messageFolder has the files of a pod's termination messages, which no container
// sees as a folder.
func (r *Runtime) messageFolder(uid types.UID) string {
	return filepath.Join(r.options.PodsDirectory, string(uid), "containers")
}

// within tells whether a file lies below a directory.
func within(directory, file string) bool {
	relative, err := filepath.Rel(directory, file)
	return err == nil && filepath.IsLocal(relative)
}

// tail reads at most the last limit bytes of a file.
func tail(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(max(info.Size()-limit, 0), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// endOfLog gives the end of what a container wrote to both its streams.
func endOfLog(name string) ([]byte, error) {
	// Each line may have some 50 bytes before what was written.
	raw, err := tail(name, maxLogMessage+(maxLogLines+1)*64)
	if err != nil {
		return nil, err
	}
	return lastLines(raw), nil
}

// lastLines reads lines of the CRI log format: TIME STREAM TAGS TEXT, where the
// tag P is of a line that the next one continues.
func lastLines(raw []byte) []byte {
	lines := bytes.SplitAfter(raw, []byte("\n"))
	var text []byte
	var complete [][]byte
	for _, line := range lines {
		fields := strings.SplitN(strings.TrimSuffix(string(line), "\n"), " ", 4)
		if len(fields) < 4 || !strings.HasSuffix(string(line), "\n") {
			continue // cut off at the start, or not yet complete
		}
		text = append(text, fields[3]...)
		if tags := strings.Split(fields[2], ":"); tags[0] == string(runtimeapi.LogTagPartial) {
			continue
		}
		complete = append(complete, append(text, '\n'))
		text = nil
	}
	if len(text) > 0 {
		complete = append(complete, text)
	}
	message := bytes.Join(complete[max(len(complete)-maxLogLines, 0):], nil)
	return message[max(len(message)-maxLogMessage, 0):]
}
