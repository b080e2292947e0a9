package serving_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	streamcommand "k8s.io/cri-streaming/pkg/streaming/remotecommand"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/utils/exec"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/agent/cri"
)

// criRuntime has the streams of a library for runtimes.
type criRuntime struct{ streaming.Server }

func startRuntime(t *testing.T) criRuntime {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	base := &url.URL{Scheme: "http", Host: front.Listener.Addr().String(), Path: "/"}
	config := streaming.DefaultConfig
	config.Addr, config.BaseURL = base.Host, base
	server, err := streaming.NewServer(config, containers{})
	if err != nil {
		t.Fatal(err)
	}
	front.Config.Handler = server
	front.Start()
	t.Cleanup(front.Close)
	return criRuntime{server}
}

func (r criRuntime) ExecURL(_ context.Context, id string, command []string, s cri.Streams) (string, error) {
	response, err := r.GetExec(&runtimeapi.ExecRequest{ContainerId: id, Cmd: command, Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Tty: s.TTY})
	return response.GetUrl(), err
}

func (r criRuntime) AttachURL(_ context.Context, id string, s cri.Streams) (string, error) {
	response, err := r.GetAttach(&runtimeapi.AttachRequest{ContainerId: id, Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Tty: s.TTY})
	return response.GetUrl(), err
}

func (r criRuntime) PortForwardURL(_ context.Context, sandbox string, ports []int32) (string, error) {
	response, err := r.GetPortForward(&runtimeapi.PortForwardRequest{PodSandboxId: sandbox, Port: ports})
	return response.GetUrl(), err
}

func (criRuntime) Stats(context.Context) ([]statsapi.PodStats, error) {
	at := metav1.NewTime(time.Unix(1000, 0))
	cpu := &statsapi.CPUStats{Time: at, UsageCoreNanoSeconds: ptr.To[uint64](2.5e9)}
	memory := &statsapi.MemoryStats{Time: at, UsageBytes: ptr.To[uint64](8192), WorkingSetBytes: ptr.To[uint64](4096)}
	return []statsapi.PodStats{{
		PodRef: statsapi.PodReference{Namespace: "ns", Name: "a"}, CPU: cpu, Memory: memory,
		Network:          &statsapi.NetworkStats{Time: at, Interfaces: []statsapi.InterfaceStats{{Name: "eth0", RxBytes: ptr.To[uint64](10), TxBytes: ptr.To[uint64](20)}}},
		EphemeralStorage: &statsapi.FsStats{UsedBytes: ptr.To[uint64](300), InodesUsed: ptr.To[uint64](0)},
		Containers: []statsapi.ContainerStats{{
			Name: "main", StartTime: at, CPU: cpu, Memory: memory, Logs: &statsapi.FsStats{}, Rootfs: &statsapi.FsStats{UsedBytes: ptr.To[uint64](300)},
		}},
	}}, nil
}

func (criRuntime) ControlGroup(_ context.Context, uid string) (cri.ControlGroup, error) {
	return cri.ControlGroup{Pod: "/garrison/pod" + uid}, nil
}

// containers say what they are, and repeat what they are told.
type containers struct{}

func (containers) Exec(_ context.Context, id string, command []string, in io.Reader, out, problems io.WriteCloser, tty bool, _ <-chan streamcommand.TerminalSize) error {
	fmt.Fprintf(out, "%s %q tty=%v\n", id, command, tty)
	if in != nil {
		io.Copy(out, in)
	}
	if problems != nil {
		io.WriteString(problems, "a problem")
	}
	if command[0] == "false" {
		return exec.CodeExitError{Err: errors.New("it failed"), Code: 3}
	}
	return nil
}

func (containers) Attach(_ context.Context, id string, in io.Reader, out, problems io.WriteCloser, tty bool, _ <-chan streamcommand.TerminalSize) error {
	fmt.Fprintf(out, "%s tty=%v err=%v\n", id, tty, problems != nil)
	if in != nil {
		io.Copy(out, in)
	}
	return nil
}

func (containers) PortForward(_ context.Context, sandbox string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	fmt.Fprintf(stream, "%s %d: ", sandbox, port)
	_, err := io.Copy(stream, stream)
	return err
}
