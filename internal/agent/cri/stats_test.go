package cri

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// measuring is a fake that knows what pods use, one by one.
type measuring struct{ *fake }

func (m measuring) ListPodSandboxStats(context.Context, *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error) {
	return nil, status.Error(codes.Unknown, "failed to decode sandbox container metrics: a sandbox is not ready")
}

func (m measuring) PodSandboxStats(_ context.Context, r *runtimeapi.PodSandboxStatsRequest) (*runtimeapi.PodSandboxStatsResponse, error) {
	return &runtimeapi.PodSandboxStatsResponse{Stats: &runtimeapi.PodSandboxStats{
		Attributes: &runtimeapi.PodSandboxAttributes{Id: r.PodSandboxId},
		Linux: &runtimeapi.LinuxPodSandboxStats{
			Network: &runtimeapi.NetworkUsage{DefaultInterface: &runtimeapi.NetworkInterfaceUsage{Name: "eth0", RxBytes: &runtimeapi.UInt64Value{Value: 7}}},
		},
	}}, nil
}

func (m measuring) ListContainerStats(context.Context, *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error) {
	usage := func(n uint64) *runtimeapi.UInt64Value { return &runtimeapi.UInt64Value{Value: n} }
	stats := func(id string) *runtimeapi.ContainerStats {
		return &runtimeapi.ContainerStats{
			Attributes:    &runtimeapi.ContainerAttributes{Id: id},
			Swap:          &runtimeapi.SwapUsage{Timestamp: 1, SwapUsageBytes: usage(5), SwapAvailableBytes: usage(6)},
			WritableLayer: &runtimeapi.FilesystemUsage{Timestamp: 1, UsedBytes: usage(100), InodesUsed: usage(4)},
		}
	}
	return &runtimeapi.ListContainerStatsResponse{Stats: []*runtimeapi.ContainerStats{stats("c-a"), stats("c-b")}}, nil
}

// A pod that is over must not keep others from being measured.
func TestStatsBesideAPodThatIsOver(t *testing.T) {
	f := &fake{}
	f.pod("a", ready, running)
	f.pod("b", notReady, exited)
	s := socket(t)
	serveRuntime(t, s, measuring{f})
	stats, err := newClient(t, Options{Endpoint: s}).Stats(t.Context())
	if err != nil || len(stats) != 1 {
		t.Fatalf("want the pod that runs, not %+v (%v)", stats, err)
	}
	a := stats[0]
	if a.PodRef.UID != "a" || a.Network == nil || a.Network.Name != "eth0" || *a.Network.RxBytes != 7 {
		t.Errorf("network: %+v", a)
	}
	if a.Swap == nil || *a.Swap.SwapUsageBytes != 5 || *a.Swap.SwapAvailableBytes != 6 {
		t.Errorf("swap: %+v", a.Swap)
	}
	if e := a.EphemeralStorage; e == nil || *e.UsedBytes != 100 || *e.InodesUsed != 4 {
		t.Errorf("files: %+v", e)
	}
}
