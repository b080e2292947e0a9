package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/environ"
)

// Executor runs a command in a container. An exit code other than zero is not an
// error, and one that took longer than ctx allows is context.DeadlineExceeded.
type Executor interface {
	Exec(ctx context.Context, id string, command []string) (agent.ExecResult, error)
}

// maxOutput is how much of what a command or a server says is kept, in bytes.
const maxOutput = 10 << 10

// grade is how one probe went.
type grade int

const (
	success grade = iota
	warning       // succeeded, with something to be said
	failure
)

// answer is what one probe brought. Its text is shown to users.
type answer struct {
	grade grade
	text  string
}

func fail(format string, args ...any) answer { return answer{failure, fmt.Sprintf(format, args...)} }

// ask probes once. An error means that nothing was learnt of the container.
func (p *Prober) ask(ctx context.Context, spec *corev1.Probe, target agent.ProbeTarget) (answer, error) {
	limit := seconds(spec.TimeoutSeconds)
	switch handler := spec.ProbeHandler; {
	case handler.Exec != nil:
		return p.askCommand(ctx, limit, target, handler.Exec.Command)
	case handler.HTTPGet != nil:
		request, err := newRequest(ctx, httpGet{handler.HTTPGet, target.Spec, target.PodIP, "probe"})
		if err != nil {
			return answer{}, err
		}
		return askHTTP(p.transport, request, limit)
	case handler.TCPSocket != nil:
		port, err := resolvePort(handler.TCPSocket.Port, target.Spec)
		if err != nil {
			return answer{}, err
		}
		return askTCP(ctx, joinHostPort(handler.TCPSocket.Host, target.PodIP, port), limit), nil
	case handler.GRPC != nil:
		service := ""
		if handler.GRPC.Service != nil {
			service = *handler.GRPC.Service
		}
		return askGRPC(ctx, joinHostPort("", target.PodIP, int(handler.GRPC.Port)), service, limit), nil
	}
	return answer{}, errors.New("the probe has no handler that is known here")
}

// askCommand runs a command in the container. Of its variables only those with
// a value in the spec are known.
func (p *Prober) askCommand(ctx context.Context, limit time.Duration, target agent.ProbeTarget, command []string) (answer, error) {
	var env []agent.EnvVar
	for _, variable := range target.Spec.Env {
		env = append(env, agent.EnvVar{Name: variable.Name, Value: variable.Value})
	}
	command, _ = environ.Command(&corev1.Container{Command: command}, env)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result, err := p.Exec.Exec(ctx, target.ID, command)
	text := string(result.Output[:min(len(result.Output), maxOutput)])
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fail("command timed out: %q timed out after %v", strings.Join(command, " "), limit), nil
	case err != nil:
		return answer{}, err
	case result.ExitCode != 0:
		return answer{failure, text}, nil
	}
	return answer{success, text}, nil
}

func askTCP(ctx context.Context, address string, limit time.Duration) answer {
	d := dialer()
	d.Timeout = limit
	connection, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return answer{failure, err.Error()}
	}
	connection.Close() // what was asked is whether it opens
	return answer{grade: success}
}

func joinHostPort(host, podIP string, port int) string {
	if host == "" {
		host = podIP
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// resolvePort finds a port by number, or by the name that the container gives it.
func resolvePort(port intstr.IntOrString, container *corev1.Container) (int, error) {
	number := port.IntValue()
	if port.Type == intstr.String && number == 0 {
		for _, named := range container.Ports {
			if named.Name == port.StrVal {
				number = int(named.ContainerPort)
			}
		}
		if number == 0 {
			return 0, fmt.Errorf("port %s not found", port.StrVal)
		}
	}
	if number <= 0 || number > 65535 {
		return 0, fmt.Errorf("invalid port number: %d", number)
	}
	return number, nil
}
