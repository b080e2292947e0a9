package cri

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

const (
	// pollInterval is how often a runtime is asked that tells nothing by itself.
	pollInterval = time.Second
	// lateLook is when to look once more after a watch began: what happened just
	// before it did is not told.
	lateLook = time.Second
	// steady is how long a watch must have lasted for the next to begin at once.
	steady = 10 * time.Second
)

// source tells of changes until it breaks or ctx is done. It fails with
// errors.ErrUnsupported if the runtime does not have it.
type source func(ctx context.Context, changed func(types.UID)) error

// Watch implements agent.Runtime. It goes by the runtime's events, or else by
// those of containerd, or else looks every second; when the runtime is started
// anew, it begins again, and any pod may have changed.
func (r *Runtime) Watch(ctx context.Context, changed func(types.UID)) error {
	pause := newPause()
	for ctx.Err() == nil {
		began := time.Now()
		err := r.watchOnce(ctx, changed)
		if ctx.Err() != nil {
			break
		}
		klog.FromContext(ctx).V(2).Info("The watch on the container runtime ended and begins again", "cause", err)
		if time.Since(began) > steady {
			pause = newPause()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause.Step()):
		}
	}
	return ctx.Err()
}

func newPause() wait.Backoff {
	return wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 8, Cap: 5 * time.Second}
}

// watchOnce watches until something breaks.
func (r *Runtime) watchOnce(ctx context.Context, changed func(types.UID)) error {
	var err error
	for _, s := range []source{r.runtimeEvents, r.containerdEvents, r.poll} {
		if err = s(ctx, changed); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return err
}

// runtimeEvents goes by the events of CRI.
func (r *Runtime) runtimeEvents(ctx context.Context, changed func(types.UID)) error {
	return follow(ctx, changed, func(ctx context.Context) (func() (types.UID, error), error) {
		stream, err := r.runtime.GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return nil, unsupported(err)
		}
		told := false
		return func() (types.UID, error) {
			event, err := stream.Recv()
			if err != nil && !told && status.Code(err) == codes.Unknown { // as where they are switched off
				return "", fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
			}
			if err != nil {
				return "", unsupported(err)
			}
			told = true
			return types.UID(event.GetPodSandboxStatus().GetMetadata().GetUid()), nil
		}, nil
	})
}

// unsupported turns what a runtime answers to calls it does not know into
// errors.ErrUnsupported.
func unsupported(err error) error {
	if isUnsupported(err) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// follow opens a stream and passes on what it tells. The stream ends when it
// returns. Any pod may have changed before the stream began.
func follow(ctx context.Context, changed func(types.UID), open func(context.Context) (func() (types.UID, error), error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	receive, err := open(ctx)
	if err != nil {
		return err
	}
	told := make(chan types.UID)
	failed := make(chan error, 1)
	go func() {
		for {
			uid, err := receive()
			if err != nil {
				failed <- err
				return
			}
			select {
			case told <- uid:
			case <-ctx.Done():
				return
			}
		}
	}()
	changed("")
	late := time.NewTimer(lateLook)
	defer late.Stop()
	for {
		select {
		case uid := <-told:
			changed(uid)
		case <-late.C:
			changed("")
		case err := <-failed:
			return err
		}
	}
}

// poll lists what there is every second.
func (r *Runtime) poll(ctx context.Context, changed func(types.UID)) error {
	before, err := r.states(ctx)
	if err != nil {
		return err
	}
	changed("")
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now, err := r.states(ctx)
		if err != nil {
			return err
		}
		for uid := range differing(before, now) {
			changed(uid)
		}
		before = now
	}
}

// state is that of a sandbox or a container.
type state struct {
	pod types.UID
	of  int32
}

// states lists the states of all sandboxes and containers by ID.
func (r *Runtime) states(ctx context.Context) (map[string]state, error) {
	sandboxes, err := r.runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return nil, err
	}
	containers, err := r.runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		return nil, err
	}
	states := map[string]state{}
	for _, s := range sandboxes.GetItems() {
		states[s.GetId()] = state{podOf(s.GetLabels()).UID, int32(s.GetState())}
	}
	for _, c := range containers.GetContainers() {
		states[c.GetId()] = state{podOf(c.GetLabels()).UID, int32(c.GetState())}
	}
	return states, nil
}

// differing gives the pods of what is not the same before and now.
func differing(before, now map[string]state) map[types.UID]struct{} {
	pods := map[types.UID]struct{}{}
	all := maps.Clone(before)
	maps.Copy(all, now)
	for id := range all {
		if a, b := before[id], now[id]; a != b {
			for _, s := range []state{a, b} {
				if s != (state{}) {
					pods[s.pod] = struct{}{}
				}
			}
		}
	}
	return pods
}
