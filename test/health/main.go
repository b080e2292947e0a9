// Command health serves the gRPC health protocol, for tests of probes. A service is
// unwell while there is a file of its name in a folder; the nameless one is called
// all there.
//
//	health -address :9000 -folder /tmp
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// server looks into a folder whenever it is asked.
type server struct {
	grpc_health_v1.UnimplementedHealthServer
	folder string
}

func (s server) Check(_ context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	name := filepath.Base(r.Service)
	if r.Service == "" {
		name = "all"
	}
	status := grpc_health_v1.HealthCheckResponse_SERVING
	if _, err := os.Stat(filepath.Join(s.folder, name)); err == nil {
		status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	return &grpc_health_v1.HealthCheckResponse{Status: status}, nil
}

func main() {
	address := flag.String("address", ":9000", "where to listen")
	folder := flag.String("folder", "/tmp", "folder with a file for each service that is unwell")
	flag.Parse()
	if err := serve(*address, *folder); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func serve(address, folder string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, server{folder: folder})
	return s.Serve(listener)
}
