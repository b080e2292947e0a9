package cri

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent"
)

// maxMessage is the largest answer of the runtime, in bytes: twice the 16 MiB
// that the output of a command may have, per stream.
const maxMessage = 33 << 20

// Options say how to talk to the runtime. Only Endpoint is required.
type Options struct {
	// Endpoint is the runtime's socket, as unix:///path or a path.
	Endpoint string
	// Owner names this agent. With a name, only what was made under it is seen,
	// so that agents can share a runtime.
	Owner string
	// CgroupRoot is the control group above those of pods; default /garrison.
	CgroupRoot string
	// PodsDirectory has a folder for each pod, where files of termination
	// messages are made. Without it there are none.
	PodsDirectory string
	// LinksDirectory gets links to logs, as /var/log/containers has them on
	// Kubernetes nodes, if set.
	LinksDirectory string
	// SeccompDirectory has the profiles that pods name.
	SeccompDirectory string
	// RuntimeHandler gives the handler of a runtime class. Without it the handler
	// is taken to be called as the class.
	RuntimeHandler func(ctx context.Context, class string) (string, error)
}

// Runtime is a container runtime behind a socket.
type Runtime struct {
	options    Options
	connection *grpc.ClientConn
	operations *operations
	runtime    runtimeapi.RuntimeServiceClient
	images     runtimeapi.ImageServiceClient
	cgroups    cgroups
	// What does not change while the machine runs.
	hugepageSizes []string
	swap          swapControl

	mu     sync.Mutex
	known  inventory
	driver cgroupDriver           // asked for once
	usage  map[string]usageSample // by container or sandbox
	// creating counts the sandboxes of a pod that are being made: what they need
	// is not removed with an earlier one.
	creating map[types.UID]int
}

var _ agent.Runtime = (*Runtime)(nil)

// New makes a client of a runtime, which need not be there yet. Close it.
func New(options Options) (*Runtime, error) {
	if options.CgroupRoot == "" {
		options.CgroupRoot = "/garrison"
	}
	endpoint := options.Endpoint
	if !strings.Contains(endpoint, "://") {
		endpoint = "unix://" + endpoint
	}
	operations := newOperations()
	connection, err := grpc.NewClient(endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"),
		grpc.WithDisableServiceConfig(),
		grpc.WithChainUnaryInterceptor(operations.count, limitCall),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		// A runtime that restarts is back in a second.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to the container runtime at %s: %w", options.Endpoint, err)
	}
	groups := findCgroups()
	return &Runtime{
		options:       options,
		connection:    connection,
		operations:    operations,
		runtime:       runtimeapi.NewRuntimeServiceClient(connection),
		images:        runtimeapi.NewImageServiceClient(connection),
		cgroups:       groups,
		hugepageSizes: hugepageSizes(),
		swap:          groups.swap(),
		known:         inventory{sandboxes: map[string]*sandboxDetail{}, containers: map[string]*containerDetail{}},
		usage:         map[string]usageSample{},
		creating:      map[types.UID]int{},
	}, nil
}

// Close ends the connection. The runtime and its containers go on.
func (r *Runtime) Close() error { return r.connection.Close() }

// Condition implements agent.Runtime.
func (r *Runtime) Condition(ctx context.Context) (agent.Condition, error) {
	response, err := r.runtime.Status(ctx, &runtimeapi.StatusRequest{})
	if err != nil {
		return agent.Condition{}, fmt.Errorf("ask the container runtime for its status: %w", plain(err))
	}
	result := agent.Condition{SupplementalGroupsPolicy: response.GetFeatures().GetSupplementalGroupsPolicy()}
	for _, h := range response.GetRuntimeHandlers() {
		result.Handlers = append(result.Handlers, agent.Handler{Name: h.GetName(), RecursiveReadOnly: h.GetFeatures().GetRecursiveReadOnlyMounts()})
	}
	slices.SortFunc(result.Handlers, func(a, b agent.Handler) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range response.GetStatus().GetConditions() {
		if c.GetStatus() {
			continue
		}
		problem := c.GetMessage()
		if problem == "" {
			problem = c.GetReason()
		}
		switch c.GetType() {
		case runtimeapi.RuntimeReady:
			result.Runtime = "container runtime is not ready: " + problem
		case runtimeapi.NetworkReady:
			result.Network = "container runtime network is not ready: " + problem
		}
	}
	// A runtime may be exchanged for a newer one while the agent runs.
	version, err := r.runtime.Version(ctx, &runtimeapi.VersionRequest{})
	if err != nil {
		return agent.Condition{}, fmt.Errorf("ask the container runtime for its version: %w", plain(err))
	}
	result.Name, result.Version = version.GetRuntimeName(), version.GetRuntimeVersion()
	return result, nil
}
