package cri

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// fake is a runtime that says what a test wants it to, for what a real one
// cannot be brought to say.
type fake struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	mu         sync.Mutex
	sandboxes  []*runtimeapi.PodSandboxStatus
	containers []*runtimeapi.ContainerStatus
	inspected  []string         // IDs
	broken     map[string]error // by ID, why it cannot be inspected
	conditions []*runtimeapi.RuntimeCondition
	config     string
	features   *runtimeapi.RuntimeFeatures
	handlers   []*runtimeapi.RuntimeHandler
	pull       func(*runtimeapi.PullImageRequest) error
	// events are passed on, if there are any to come.
	events   chan *runtimeapi.ContainerEventResponse
	noEvents error // instead
}

// serve serves a runtime at a socket until it is called off.
func (f *fake) serve(t *testing.T, socket string) (stop func()) {
	t.Helper()
	return serveRuntime(t, socket, f)
}

func serveRuntime(t *testing.T, socket string, f interface {
	runtimeapi.RuntimeServiceServer
	runtimeapi.ImageServiceServer
}) (stop func()) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, f)
	runtimeapi.RegisterImageServiceServer(server, f)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			server.Stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// socket is a path for a socket, which must be short.
func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cri")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func newClient(t *testing.T, options Options) *Runtime {
	t.Helper()
	r, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// serveFake serves a runtime and gives a client of it.
func serveFake(t *testing.T, f *fake) *Runtime {
	t.Helper()
	s := socket(t)
	f.serve(t, s)
	return newClient(t, Options{Endpoint: s})
}

// set changes what there is.
func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fake) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	response := &runtimeapi.ListPodSandboxResponse{}
	for _, s := range f.sandboxes {
		response.Items = append(response.Items, &runtimeapi.PodSandbox{Id: s.Id, Metadata: s.Metadata, State: s.State, Labels: s.Labels})
	}
	return response, nil
}

func (f *fake) PodSandboxStatus(_ context.Context, request *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inspected = append(f.inspected, request.PodSandboxId)
	if err := f.broken[request.PodSandboxId]; err != nil {
		return nil, err
	}
	for _, s := range f.sandboxes {
		if s.Id == request.PodSandboxId {
			return &runtimeapi.PodSandboxStatusResponse{Status: s}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no such sandbox")
}

func (f *fake) ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	response := &runtimeapi.ListContainersResponse{}
	for _, c := range f.containers {
		response.Containers = append(response.Containers, &runtimeapi.Container{Id: c.Id, Metadata: c.Metadata, State: c.State, Labels: c.Labels})
	}
	return response, nil
}

func (f *fake) ContainerStatus(_ context.Context, request *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inspected = append(f.inspected, request.ContainerId)
	if err := f.broken[request.ContainerId]; err != nil {
		return nil, err
	}
	for _, c := range f.containers {
		if c.Id == request.ContainerId {
			return &runtimeapi.ContainerStatusResponse{Status: c}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no such container")
}

func (f *fake) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &runtimeapi.StatusResponse{
		Status: &runtimeapi.RuntimeStatus{Conditions: f.conditions}, Info: map[string]string{"config": f.config},
		Features: f.features, RuntimeHandlers: f.handlers,
	}, nil
}

func (f *fake) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{RuntimeName: "fake", RuntimeVersion: "1"}, nil
}

func (f *fake) PullImage(_ context.Context, request *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	if err := f.pull(request); err != nil {
		return nil, err
	}
	return &runtimeapi.PullImageResponse{ImageRef: "digest"}, nil
}

func (f *fake) ImageStatus(context.Context, *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	return &runtimeapi.ImageStatusResponse{Image: &runtimeapi.Image{Id: "id"}}, nil
}

func (f *fake) GetContainerEvents(_ *runtimeapi.GetEventsRequest, stream grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
	if f.events == nil {
		return f.noEvents
	}
	for {
		select {
		case event := <-f.events:
			if err := stream.Send(event); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

// pod gives a fake a pod with one container.
func (f *fake) pod(uid string, sandbox runtimeapi.PodSandboxState, container runtimeapi.ContainerState) {
	labels := map[string]string{podUIDLabel: uid, podNameLabel: uid, podNamespaceLabel: "d"}
	f.set(func(f *fake) {
		f.sandboxes = append(f.sandboxes, &runtimeapi.PodSandboxStatus{
			Id: "s-" + uid, State: sandbox, Labels: labels, Metadata: &runtimeapi.PodSandboxMetadata{Uid: uid},
			Network: &runtimeapi.PodSandboxNetworkStatus{Ip: "10.0.0.1"}, CreatedAt: 1,
		})
		f.containers = append(f.containers, &runtimeapi.ContainerStatus{
			Id: "c-" + uid, State: container, Labels: labels, Metadata: &runtimeapi.ContainerMetadata{Name: "c"}, StartedAt: 2,
		})
	})
}

// soon waits for something that must happen.
func soon[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("nothing is told of %s", what)
		panic("unreachable")
	}
}
