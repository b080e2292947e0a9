package cri

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

// inventory is what was seen last, by ID, so that only what is new or has
// changed its state is inspected again.
type inventory struct {
	sandboxes  map[string]*sandboxDetail
	containers map[string]*containerDetail
	// failed are the pods of which not all could be inspected.
	failed map[agent.PodName]error
}

// sandboxDetail is a sandbox in one state. In it nothing changes.
type sandboxDetail struct {
	pod         agent.PodName
	state       runtimeapi.PodSandboxState
	hostNetwork bool
	record      agent.SandboxRecord
}

// containerDetail is a container in one state. In it nothing changes.
type containerDetail struct {
	pod    agent.PodName
	state  runtimeapi.ContainerState
	record agent.ContainerRecord
}

// inspections is how many requests are made at once, so that a first look at a
// full machine takes no time and yet does not flood the runtime.
const inspections = 8

// inspectionLimit is how long one may take. What hangs is often not the runtime but
// what one container needs of it.
const inspectionLimit = 20 * time.Second

const (
	reasonOOM  = "OOMKilled"
	killedCode = 128 + 9 // of what ended by signal 9
	oomDelay   = 5 * time.Second
)

// Look implements agent.Runtime.
func (r *Runtime) Look(ctx context.Context) ([]agent.Holding, error) {
	found, err := r.list(ctx)
	if err != nil {
		return nil, err
	}
	byUID := map[types.UID]int{}
	var holdings []agent.Holding
	of := func(pod agent.PodName) *agent.Holding {
		i, known := byUID[pod.UID]
		if !known {
			i = len(holdings)
			byUID[pod.UID] = i
			holdings = append(holdings, agent.Holding{Pod: pod})
		}
		return &holdings[i]
	}
	for _, s := range found.sandboxes {
		h, record := of(s.pod), s.record
		record.IPs = slices.Clone(record.IPs)
		h.Sandboxes = append(h.Sandboxes, record)
	}
	for _, c := range found.containers {
		h := of(c.pod)
		h.Containers = append(h.Containers, c.record)
	}
	for pod, err := range found.failed {
		of(pod).Err = err
	}
	return holdings, nil
}

// list lists all there is, and inspects what is not known as it is.
func (r *Runtime) list(ctx context.Context) (inventory, error) {
	labels := r.ownLabels()
	// Containers first: then the sandbox of each is there, or has gone since.
	containers, err := r.runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{LabelSelector: labels}})
	if err != nil {
		return inventory{}, fmt.Errorf("list containers: %w", plain(err))
	}
	sandboxes, err := r.runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{LabelSelector: labels}})
	if err != nil {
		return inventory{}, fmt.Errorf("list sandboxes: %w", plain(err))
	}
	return r.inspect(ctx, sandboxes.GetItems(), containers.GetContainers())
}

// inspect inspects what is not known as it is. What has no pod is not ours: other
// programs, too, may use the runtime.
func (r *Runtime) inspect(ctx context.Context, sandboxes []*runtimeapi.PodSandbox, containers []*runtimeapi.Container) (inventory, error) {
	sandboxes = slices.DeleteFunc(sandboxes, func(s *runtimeapi.PodSandbox) bool { return podOf(s.GetLabels()).UID == "" })
	containers = slices.DeleteFunc(containers, func(c *runtimeapi.Container) bool { return podOf(c.GetLabels()).UID == "" })
	r.mu.Lock()
	before := r.known
	r.mu.Unlock()
	looked := make([]*sandboxDetail, len(sandboxes))
	inspected := make([]*containerDetail, len(containers))
	failures := failures{of: map[agent.PodName]error{}}
	group, inspecting := errgroup.WithContext(ctx)
	group.SetLimit(inspections)
	for i, s := range sandboxes {
		if d := before.sandboxes[s.GetId()]; d != nil && d.state == s.GetState() && d.settled() {
			looked[i] = d
			continue
		}
		group.Go(func() (err error) {
			looked[i], err = r.inspectSandbox(inspecting, s.GetId())
			return failures.note(ctx, podOf(s.GetLabels()), err)
		})
	}
	for i, c := range containers {
		if d := before.containers[c.GetId()]; d != nil && d.state == c.GetState() && d.settled() {
			inspected[i] = d
			continue
		}
		group.Go(func() (err error) {
			inspected[i], err = r.inspectContainer(inspecting, c)
			return failures.note(ctx, podOf(c.GetLabels()), err)
		})
	}
	if err := group.Wait(); err != nil {
		return inventory{}, err
	}
	now := r.remember(looked, inspected)
	now.failed = failures.of
	return now, nil
}

// failures are those of inspections, by pod.
type failures struct {
	mu sync.Mutex
	of map[agent.PodName]error
}

// note takes in how an inspection ended. It returns what is no affair of the pod
// alone: that ctx is done.
func (f *failures) note(ctx context.Context, pod agent.PodName, err error) error {
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of[pod] = err
	return nil
}

// ownLabels are those of all that belongs to this agent.
func (r *Runtime) ownLabels() map[string]string {
	if r.options.Owner == "" {
		return nil
	}
	return map[string]string{ownerLabel: r.options.Owner}
}

// remember keeps what is there for the next look. What went away meanwhile is nil.
func (r *Runtime) remember(sandboxes []*sandboxDetail, containers []*containerDetail) inventory {
	now := inventory{
		sandboxes:  make(map[string]*sandboxDetail, len(sandboxes)),
		containers: make(map[string]*containerDetail, len(containers)),
	}
	for _, s := range sandboxes {
		if s != nil {
			now.sandboxes[s.record.ID] = s
		}
	}
	for _, c := range containers {
		if c != nil {
			now.containers[c.record.ID] = c
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = now // never changed again, so that it can be read without the lock
	return now
}

// settled tells whether nothing more can become known of a sandbox in its state:
// some runtimes show its addresses a little after it is ready.
func (d *sandboxDetail) settled() bool {
	return d.state == runtimeapi.PodSandboxState_SANDBOX_NOTREADY || d.record.IP != "" || d.hostNetwork
}

// settled tells whether nothing more can become known of a container in its
// state: that one was killed for its use of memory may be known a little later
// than that it was killed.
func (d *containerDetail) settled() bool {
	return d.record.ExitCode != killedCode || d.record.Reason == reasonOOM || time.Since(d.record.Finished) > oomDelay
}

// inspectSandbox gives a sandbox, and nil if it has gone.
func (r *Runtime) inspectSandbox(ctx context.Context, id string) (*sandboxDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, inspectionLimit)
	defer cancel()
	response, err := r.runtime.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspect sandbox %s: %w", id, plain(err))
	}
	status := response.GetStatus()
	ready := status.GetState() == runtimeapi.PodSandboxState_SANDBOX_READY
	d := &sandboxDetail{
		pod: podOf(status.GetLabels()), state: status.GetState(),
		hostNetwork: status.GetLinux().GetNamespaces().GetOptions().GetNetwork() == runtimeapi.NamespaceMode_NODE,
		record: agent.SandboxRecord{Sandbox: podstep.Sandbox{
			ID: status.GetId(), Attempt: int(status.GetMetadata().GetAttempt()), Ready: ready,
			Created: timeOf(status.GetCreatedAt()),
		}},
	}
	if ip := status.GetNetwork().GetIp(); ip != "" && ready && !d.hostNetwork {
		d.record.IP, d.record.IPs = ip, []string{ip}
		for _, more := range status.GetNetwork().GetAdditionalIps() {
			d.record.IPs = append(d.record.IPs, more.GetIp())
		}
	}
	return d, nil
}

// inspectContainer gives a container, and nil if it has gone.
func (r *Runtime) inspectContainer(ctx context.Context, listed *runtimeapi.Container) (*containerDetail, error) {
	ctx, cancel := context.WithTimeout(ctx, inspectionLimit)
	defer cancel()
	response, err := r.runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: listed.GetId()})
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspect container %s: %w", listed.GetId(), plain(err))
	}
	status := response.GetStatus()
	record := agent.ContainerRecord{
		Record: podstep.Record{
			ID: status.GetId(), Sandbox: listed.GetPodSandboxId(),
			Name: status.GetMetadata().GetName(), Attempt: int(status.GetMetadata().GetAttempt()),
			State: stateOf(status.GetState()), Hash: status.GetAnnotations()[hashAnnotation],
			Started: timeOf(status.GetStartedAt()),
		},
		Image: status.GetAnnotations()[imageAnnotation], ImageID: status.GetImageRef(),
		LogPath: status.GetLogPath(), User: userOf(status.GetUser()),
	}
	if record.State == podstep.Exited {
		record.Finished, record.ExitCode = timeOf(status.GetFinishedAt()), status.GetExitCode()
		record.Reason, record.Message = status.GetReason(), r.terminationMessage(status)
		if record.Started.After(record.Finished) { // noted only after it had ended
			record.Started = record.Finished
		}
	}
	return &containerDetail{pod: podOf(status.GetLabels()), state: status.GetState(), record: record}, nil
}

// userOf is who a container was started as, nil if the runtime does not tell.
func userOf(user *runtimeapi.ContainerUser) *corev1.ContainerUser {
	linux := user.GetLinux()
	if linux == nil {
		return nil
	}
	return &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{
		UID: linux.GetUid(), GID: linux.GetGid(), SupplementalGroups: linux.GetSupplementalGroups(),
	}}
}

func stateOf(s runtimeapi.ContainerState) podstep.ContainerState {
	switch s {
	case runtimeapi.ContainerState_CONTAINER_CREATED:
		return podstep.Created
	case runtimeapi.ContainerState_CONTAINER_RUNNING:
		return podstep.Running
	case runtimeapi.ContainerState_CONTAINER_EXITED:
		return podstep.Exited
	}
	return podstep.Unknown
}

// timeOf reads nanoseconds; none is no time.
func timeOf(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}
