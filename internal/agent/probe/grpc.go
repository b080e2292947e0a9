package probe

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"k8s.io/component-base/version"
)

// askGRPC asks a server that speaks the gRPC health protocol.
func askGRPC(ctx context.Context, address, service string, limit time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v := version.Get()
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithUserAgent(fmt.Sprintf("kube-probe/%s.%s", v.Major, v.Minor)),
		grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer().DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		return fail("error: failed to connect service at %q: %+v", address, err)
	}
	defer connection.Close()
	// A server that refuses may accept in a moment, within the limit.
	connection.Connect()
	for state := connection.GetState(); state != connectivity.Ready; state = connection.GetState() {
		if !connection.WaitForStateChange(ctx, state) {
			return fail("timeout: failed to connect service %q within %v: %+v", address, limit, ctx.Err())
		}
	}
	response, err := health.NewHealthClient(connection).Check(ctx, &health.HealthCheckRequest{Service: service})
	switch stat := status.Convert(err); {
	case stat.Code() == codes.Unimplemented:
		return fail("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %s", stat.Message())
	case stat.Code() == codes.DeadlineExceeded:
		return fail("timeout: health rpc did not complete within %v", limit)
	case err != nil:
		return fail("error: health rpc probe failed: %+v", err)
	case response.GetStatus() != health.HealthCheckResponse_SERVING:
		return fail("service unhealthy (responded with %q)", response.GetStatus().String())
	}
	return answer{success, "service healthy"}
}
