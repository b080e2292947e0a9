package agent

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// Writer makes the agent's writes.
type Writer interface {
	CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	DeletePod(ctx context.Context, name types.NamespacedName, options metav1.DeleteOptions) error
}

// Volumes has the files that containers see. Calls for different pods may be made
// at the same time; those for one pod come one after the other.
type Volumes interface {
	// SetUp makes all volumes of the pod, or brings their contents up to date. It
	// is repeated at the time it returns (zero: never), when an object that the
	// pod names has changed, and after an error.
	SetUp(ctx context.Context, pod *corev1.Pod) (next time.Time, err error)
	// Mounts are the mounts of a container: its volumes, the service account's
	// folder among them, and /etc/hosts.
	Mounts(ctx context.Context, request MountRequest) ([]Mount, error)
	// TearDown removes all that SetUp and Mounts have made for a pod. What its
	// containers have left beside that, such as termination messages, stays until
	// it is for good. It may be repeated, also for a pod that was never set up.
	TearDown(ctx context.Context, uid types.UID, forGood bool) error
	// List names the pods that there is something of.
	List() ([]types.UID, error)
}

// ContainerRequest says for which container something is asked.
type ContainerRequest struct {
	Pod *corev1.Pod
	// Spec is that of the container; of an ephemeral one, its common part.
	Spec *corev1.Container
	// PodIPs and HostIPs have the main address first. Of a pod on the host's
	// network both are the host's.
	PodIPs, HostIPs []string
}

// MountRequest says for which container mounts are asked. Env are the container's
// variables, for subPathExpr.
type MountRequest struct {
	ContainerRequest
	Env []EnvVar
	// Hostname is the pod's, for /etc/hosts; Domain is empty if it has none, and
	// else such as subdomain.namespace.svc.cluster.local.
	Hostname, Domain string
}

// Environment resolves what a container is started with.
type Environment interface {
	// Resolve gives the variables, and the command and arguments with variables
	// expanded. An error is reported as CreateContainerConfigError.
	Resolve(ctx context.Context, request ContainerRequest) (Process, error)
}

// Process is what a container runs.
type Process struct {
	Env           []EnvVar
	Command, Args []string
}

// Objects has the Secrets and ConfigMaps that pods name.
type Objects interface {
	// Hold begins to follow all that a pod names, until Release. It may be
	// repeated, and costs little then.
	Hold(pod *corev1.Pod)
	Release(uid types.UID)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// Prober runs the probes of containers. It wakes the agent (Agent.Wake) when a
// result of a pod has changed, and writes the events of probes itself.
type Prober interface {
	// Sync says which containers of a pod run now; others are not probed any
	// more. It begins what is new, returns at once, and gives the results that
	// are known so far. An attempt whose postStart hook has not ended is not
	// among the targets.
	Sync(pod *corev1.Pod, targets []ProbeTarget) []podstep.ProbeResult
	// Forget ends all probes of a pod.
	Forget(uid types.UID)
}

// ProbeTarget is a container that runs.
type ProbeTarget struct {
	Spec    *corev1.Container
	Attempt int
	ID      string
	Started time.Time
	// PodIP is the main address of the pod; the host's if it is on its network.
	PodIP string
	// Known is the result of an earlier agent, so that a container which was
	// started and ready stays so until it has been probed again.
	Known podstep.ProbeResult
	// Ending tells that the pod is on its way out: only readiness is probed.
	Ending bool
}

// Hooks runs the lifecycle handlers of containers.
type Hooks interface {
	// Run returns when the handler has ended, or ctx has. The error of one that
	// failed says why, and holds no secret.
	Run(ctx context.Context, hook HookRequest) error
}

// HookRequest is one handler to run.
type HookRequest struct {
	Pod         *corev1.Pod
	Spec        *corev1.Container // whose handler it is
	ContainerID string            // in the runtime
	PodIP       string
	Handler     *corev1.LifecycleHandler
}

// StaticPods are pods that the machine itself asks for.
type StaticPods interface {
	// Pods are those wanted now, complete with name, namespace, UID, node name and
	// annotations, sorted; and whether they have been read at all.
	Pods() (pods []*corev1.Pod, read bool)
	// Watch keeps them current until ctx is done, and calls changed after each
	// change and after the first reading.
	Watch(ctx context.Context, changed func())
}
