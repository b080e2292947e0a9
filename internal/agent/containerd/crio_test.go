package containerd

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// crio is no more of CRI-O than its name.
type crio struct {
	runtimeapi.UnimplementedRuntimeServiceServer
}

func (crio) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{RuntimeName: "cri-o", RuntimeVersion: "1.33.0"}, nil
}

// A runtime that cannot import says so, and holds up nobody.
func TestImporterOfCRIO(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, crio{})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	defer func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	importer := newImporter(ImporterConfig{Dir: filepath.Join(dir, "images")}, loader{socket: filepath.Join(dir, "s")})
	if err := importer.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "cri-o offers no way to import images") {
		t.Errorf("got error %v", err)
	}
	select {
	case <-importer.Ready():
	default:
		t.Error("pods would wait for it")
	}
}
