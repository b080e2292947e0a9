package cri

import (
	"context"
	"time"

	"github.com/containerd/containerd/api/events"
	eventservice "github.com/containerd/containerd/api/services/events/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	containerdNamespace = "k8s.io" // that of CRI
	// settleTime is how long containerd's CRI may take to know what its own
	// events tell.
	settleTime    = 10 * time.Second
	oomSettleTime = 200 * time.Millisecond
)

// containerdEvents goes by the events of containerd itself, which versions before
// 1.7 only have. They come before CRI shows what they tell.
func (r *Runtime) containerdEvents(ctx context.Context, changed func(types.UID)) error {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "containerd-namespace", containerdNamespace))
	defer cancel()
	settled := make(chan types.UID)
	return follow(ctx, changed, func(ctx context.Context) (func() (types.UID, error), error) {
		client := eventservice.NewEventsClient(r.connection)
		stream, err := client.Subscribe(ctx, &eventservice.SubscribeRequest{Filters: []string{
			`namespace==` + containerdNamespace + `,topic=="/tasks/exit"`,
			`namespace==` + containerdNamespace + `,topic=="/tasks/oom"`,
			`namespace==` + containerdNamespace + `,topic=="/containers/delete"`,
		}}, grpc.WaitForReady(true))
		if err != nil {
			return nil, unsupported(err)
		}
		failed := make(chan error, 1)
		go func() {
			for {
				envelope, err := stream.Recv()
				if err != nil {
					failed <- unsupported(err)
					return
				}
				if s := subjectOf(envelope.GetEvent()); s.id != "" {
					go r.settle(ctx, s, settled)
				}
			}
		}()
		return func() (types.UID, error) {
			select {
			case uid := <-settled:
				return uid, nil
			case err := <-failed:
				return "", err
			}
		}, nil
	})
}

// subject is what an event is about, and how long CRI may take to show it.
type subject struct {
	id       string
	gone     bool
	patience time.Duration
}

// subjectOf reads an event. It gives nothing for commands that ended inside a
// container.
func subjectOf(event *anypb.Any) subject {
	switch event.GetTypeUrl() {
	case "containerd.events.TaskExit":
		var exit events.TaskExit
		if proto.Unmarshal(event.GetValue(), &exit) == nil && exit.GetID() == exit.GetContainerID() {
			return subject{id: exit.GetContainerID(), patience: settleTime}
		}
	case "containerd.events.TaskOOM": // which the container may well survive
		var oom events.TaskOOM
		if proto.Unmarshal(event.GetValue(), &oom) == nil {
			return subject{id: oom.GetContainerID(), patience: oomSettleTime}
		}
	case "containerd.events.ContainerDelete":
		var deletion events.ContainerDelete
		if proto.Unmarshal(event.GetValue(), &deletion) == nil {
			return subject{id: deletion.GetID(), gone: true, patience: settleTime}
		}
	}
	return subject{}
}

// settle waits until CRI shows that something ended or is gone, and then passes
// on whose it was.
func (r *Runtime) settle(ctx context.Context, s subject, settled chan<- types.UID) {
	r.mu.Lock()
	uid := r.known.podOf(s.id)
	r.mu.Unlock()
	deadline := time.Now().Add(s.patience)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		shown, pod := r.shows(ctx, s)
		if pod != "" {
			uid = pod
		}
		if shown || time.Now().After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
	select {
	case settled <- uid:
	case <-ctx.Done():
	}
}

// shows tells whether CRI shows that something ended or is gone, and whose it is
// if that can be seen.
func (r *Runtime) shows(ctx context.Context, s subject) (bool, types.UID) {
	container, err := r.runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: s.id})
	if err == nil {
		ended := container.GetStatus().GetState() != runtimeapi.ContainerState_CONTAINER_RUNNING
		return ended && !s.gone, podOf(container.GetStatus().GetLabels()).UID
	}
	sandbox, err := r.runtime.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: s.id})
	if err == nil {
		ended := sandbox.GetStatus().GetState() == runtimeapi.PodSandboxState_SANDBOX_NOTREADY
		return ended && !s.gone, podOf(sandbox.GetStatus().GetLabels()).UID
	}
	return isNotFound(err), ""
}

// podOf gives the pod of a container or a sandbox, empty if it is not known.
func (i inventory) podOf(id string) types.UID {
	if c := i.containers[id]; c != nil {
		return c.pod.UID
	}
	if s := i.sandboxes[id]; s != nil {
		return s.pod.UID
	}
	return ""
}
