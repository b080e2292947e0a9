package agent

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// Runtime is the container runtime of one machine, as far as the agent needs it.
// All methods may be called at the same time. An error that Kubernetes has a
// reason for is a *Failure. Calls on what is not there any more succeed, where
// its being gone is what was asked for.
type Runtime interface {
	// Look lists all that the runtime holds of pods, in no particular order.
	Look(ctx context.Context) ([]Holding, error)
	// Watch calls changed for every pod of which the runtime may hold something
	// else than before, until ctx is done; an empty UID stands for any pod. It
	// may miss changes: the agent looks from time to time anyway.
	Watch(ctx context.Context, changed func(types.UID)) error
	// Condition tells what keeps the runtime, or the pod network, from working.
	Condition(ctx context.Context) (Condition, error)

	CreateSandbox(ctx context.Context, sandbox SandboxConfig) (id string, err error)
	StopSandbox(ctx context.Context, id string) error
	RemoveSandbox(ctx context.Context, id string) error

	// StartContainer creates a container and starts it. If it can be created but
	// not started, a record of it stays, as Exited with reason StartError.
	StartContainer(ctx context.Context, container ContainerConfig) (id string, err error)
	// KillContainer asks a container to stop, makes it after the grace, and
	// returns when it has ended. A later call with less grace overtakes.
	KillContainer(ctx context.Context, id string, grace time.Duration) error
	// RemoveContainer deletes an ended container and its logs.
	RemoveContainer(ctx context.Context, id string) error
	// Exec runs a command in a running container. An exit code other than zero
	// is not an error.
	Exec(ctx context.Context, id string, command []string) (ExecResult, error)

	// ImageID is the runtime's name of an image that is present, and empty if it
	// is not.
	ImageID(ctx context.Context, image string) (string, error)
	PullImage(ctx context.Context, pull Pull) (id string, err error)
	Images(ctx context.Context) ([]Image, error)
	RemoveImage(ctx context.Context, id string) error
}

// Failure is an error with the reason that Kubernetes reports for it, such as
// ErrImagePull, CreateContainerError or RunContainerError.
type Failure struct {
	Reason string
	Err    error
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives what went wrong.
func (f *Failure) Unwrap() error { return f.Err }

// PodName names one pod. A pod that is made anew under the same name has another
// UID.
type PodName struct {
	types.NamespacedName
	UID types.UID
}

// Holding is what the runtime holds of one pod.
type Holding struct {
	Pod        PodName
	Sandboxes  []SandboxRecord
	Containers []ContainerRecord
	// Err is why not all of it could be seen: then nothing follows from what is
	// not among it.
	Err error
}

// SandboxRecord is one sandbox as the runtime has it.
type SandboxRecord struct {
	podstep.Sandbox
	// IPs are all addresses, the first being Sandbox.IP.
	IPs []string
}

// ContainerRecord is one container as the runtime has it. The Message of one
// that ended is its termination message, by the container's policy.
type ContainerRecord struct {
	podstep.Record
	// Image is what the spec named, ImageID the runtime's name with the digest.
	Image, ImageID string
	// LogPath is the file on the machine that has its output, in CRI's format.
	LogPath string
	// User is who its first process was started as, nil if the runtime does not
	// tell.
	User *corev1.ContainerUser
}

// Condition tells what does not work; empty is well.
type Condition struct {
	Runtime, Network string
	// Name and Version are such as containerd and 1.6.20.
	Name, Version string
	// SupplementalGroupsPolicy: containers can be kept out of the groups that
	// their image puts their user into.
	SupplementalGroupsPolicy bool
	// Handlers are those that runtime classes can name, by name; the default one
	// has none. A runtime that does not tell has no handlers here.
	Handlers []Handler
}

// Handler is a way to run pods that a runtime offers.
type Handler struct {
	Name string
	// RecursiveReadOnly: mounts can be read only with all that is mounted in them.
	RecursiveReadOnly bool
}

// SandboxConfig is all that is needed to make a sandbox of a pod. What the pod
// says itself is read from its spec.
type SandboxConfig struct {
	Pod      *corev1.Pod
	Attempt  int
	Hostname string
	DNS      DNS
	// LogDirectory is the pod's, on the machine.
	LogDirectory string
}

// DNS is the contents of a resolv.conf.
type DNS struct{ Servers, Searches, Options []string }

// ContainerConfig is all that is needed to start a container. What the
// container says itself is read from its spec. The file of the termination
// message is the runtime's own affair, unless a mount is in its place, which is
// not read.
type ContainerConfig struct {
	Pod *corev1.Pod
	// Spec is that of the container; of an ephemeral one, its common part.
	Spec    *corev1.Container
	Attempt int
	Sandbox string // ID
	// ImageID is the image as the runtime names it.
	ImageID string
	// Hash comes back in the container's record.
	Hash string
	// Command and Args have their variables expanded.
	Command, Args []string
	Env           []EnvVar
	Mounts        []Mount
	// TargetContainer is the ID of the container whose process namespace is
	// shared, of an ephemeral container that names one.
	TargetContainer string
	// LogDirectory is the pod's, as the sandbox has it.
	LogDirectory string
	// NodeMemory is the machine's, in bytes; the OOM score depends on it.
	NodeMemory int64
}

// EnvVar is a variable with its value resolved.
type EnvVar struct{ Name, Value string }

// Mount is a path on the machine that a container sees.
type Mount struct {
	HostPath, ContainerPath string
	ReadOnly                bool
	// RecursiveReadOnly is set only if ReadOnly is.
	RecursiveReadOnly bool
	Propagation       corev1.MountPropagationMode
}

// ExecResult is how a command ended. Output is what it wrote to both streams, at
// most some 16 KiB.
type ExecResult struct {
	Output   []byte
	ExitCode int32
}

// Pull is the wish for an image.
type Pull struct {
	Image string
	// Pod is for whom it is pulled.
	Pod *corev1.Pod
	// Credentials are tried in order, then none at all.
	Credentials []Credential
}

// Credential opens a registry. It must not be logged.
type Credential struct {
	Username, Password, IdentityToken string
}

// Image is one image that is present.
type Image struct {
	ID           string
	Tags, Digest []string // repository:tag, repository@digest
	Size         int64    // bytes
	Pinned       bool     // must not be removed
}
