package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent/pause"
)

const (
	// pollPeriod is how often a containerd that starts is asked, and askLimit how
	// long one answer may take.
	pollPeriod = 20 * time.Millisecond
	askLimit   = 5 * time.Second
)

// dial connects to a socket; nothing is sent before the first call.
func dial(socket string) (*grpc.ClientConn, error) {
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", socket, err)
	}
	return connection, nil
}

// awaitReady returns once CRI answers, or the process ends, or ctx is done.
func awaitReady(ctx context.Context, l layout, p *process) error {
	return poll(ctx, func() error {
		select {
		case <-p.exited:
			return final{fmt.Errorf("containerd ended at once: %w", describeExit(p.err, l.log))}
		default:
			// A connection made before the socket is there would back off.
			return askStatus(ctx, l.socket)
		}
	})
}

func askStatus(ctx context.Context, socket string) error {
	// What gRPC cannot connect to it complains of in the log.
	knock, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	knock.Close()
	connection, err := dial(socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	_, err = runtimeapi.NewRuntimeServiceClient(connection).Status(ctx, &runtimeapi.StatusRequest{})
	return err
}

// final is an error after which asking again is of no use.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// poll asks until there is no error, or a final one, or ctx is done.
func poll(ctx context.Context, ask func() error) error {
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for {
		err := ask()
		if err == nil || errors.As(err, new(final)) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last answer was: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// providePause imports the pause image unless it is there.
func (c *Containerd) providePause(ctx context.Context) error {
	connection, err := dial(c.layout.socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	request := &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: pause.Image}}
	answer, err := runtimeapi.NewImageServiceClient(connection).ImageStatus(ctx, request)
	if err != nil {
		return fmt.Errorf("look for the pause image: %w", err)
	}
	if answer.Image != nil {
		return nil
	}
	var archive bytes.Buffer
	if err := pause.WriteArchive(&archive, runtime.GOARCH); err != nil {
		return err
	}
	if err := writeFile(c.layout.pause, archive.Bytes()); err != nil {
		return fmt.Errorf("write the pause image: %w", err)
	}
	return c.Import(ctx, c.layout.pause)
}
