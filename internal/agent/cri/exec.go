package cri

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// maxOutput is what is kept of the output of a command, in bytes.
const maxOutput = 16 << 10

// Exec implements agent.Runtime. The output is that of the first stream and then
// that of the second. The command is killed when ctx is done.
func (r *Runtime) Exec(ctx context.Context, id string, command []string) (agent.ExecResult, error) {
	request := &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: command}
	deadline, limited := ctx.Deadline()
	if limited {
		request.Timeout = int64(math.Ceil(max(time.Until(deadline), time.Second).Seconds()))
	}
	response, err := r.runtime.ExecSync(ctx, request)
	if err != nil {
		err = plain(err)
		// The runtime has the same deadline. It may be the first to notice, and tell
		// of it in words of its own: that the call is over before the command is dead.
		if late := limited && !time.Now().Before(deadline); late || errors.Is(err, context.DeadlineExceeded) {
			return agent.ExecResult{}, fmt.Errorf("command %q timed out: %w", strings.Join(command, " "), context.DeadlineExceeded)
		}
		return agent.ExecResult{}, err
	}
	output := response.GetStdout()[:min(len(response.GetStdout()), maxOutput)]
	rest := response.GetStderr()[:min(len(response.GetStderr()), maxOutput-len(output))]
	return agent.ExecResult{Output: append(output[:len(output):len(output)], rest...), ExitCode: response.GetExitCode()}, nil
}

// Streams say which streams of a process are wanted.
type Streams struct{ Stdin, Stdout, Stderr, TTY bool }

// ExecURL prepares a command whose streams the runtime serves at the URL. Only
// one connection can be made, and soon.
func (r *Runtime) ExecURL(ctx context.Context, id string, command []string, s Streams) (string, error) {
	response, err := r.runtime.Exec(ctx, &runtimeapi.ExecRequest{
		ContainerId: id, Cmd: command, Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Tty: s.TTY,
	})
	if err != nil {
		return "", fmt.Errorf("prepare exec in container %s: %w", id, plain(err))
	}
	return response.GetUrl(), nil
}

// AttachURL prepares to attach to a container's first process. TTY must be as
// the container has it.
func (r *Runtime) AttachURL(ctx context.Context, id string, s Streams) (string, error) {
	response, err := r.runtime.Attach(ctx, &runtimeapi.AttachRequest{
		ContainerId: id, Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Tty: s.TTY,
	})
	if err != nil {
		return "", fmt.Errorf("prepare to attach to container %s: %w", id, plain(err))
	}
	return response.GetUrl(), nil
}

// PortForwardURL prepares connections to ports of a sandbox; with websockets
// they must be named, with SPDY they come later.
func (r *Runtime) PortForwardURL(ctx context.Context, sandbox string, ports []int32) (string, error) {
	response, err := r.runtime.PortForward(ctx, &runtimeapi.PortForwardRequest{PodSandboxId: sandbox, Port: ports})
	if err != nil {
		return "", fmt.Errorf("prepare to forward ports of sandbox %s: %w", sandbox, plain(err))
	}
	return response.GetUrl(), nil
}
