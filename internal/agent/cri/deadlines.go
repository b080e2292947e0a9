package cri

import (
	"context"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Limits of calls, so that a runtime that hangs is noticed and does not hold up
// the agent for ever.
const (
	callLimit    = 2 * time.Minute
	sandboxLimit = 4 * time.Minute // which sets up the network, too
)

// limitCall gives a call a deadline, if it does not last for as long as what it
// is about.
func limitCall(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	limit := callLimit
	switch r := request.(type) {
	case *runtimeapi.PullImageRequest, *runtimeapi.ExecSyncRequest:
		return invoke(ctx, method, request, reply, connection, options...)
	case *runtimeapi.RunPodSandboxRequest:
		limit = sandboxLimit
	case *runtimeapi.StopContainerRequest:
		limit += time.Duration(r.GetTimeout()) * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return invoke(ctx, method, request, reply, connection, options...)
}
