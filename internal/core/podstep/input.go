package podstep

import "time"

// Input is all that a step depends on. Step does not change it.
type Input struct {
	Now time.Time
	Pod Pod
	// Sandboxes, Containers and Images are what the runtime was seen to hold, in
	// any order; of the images, those that are present.
	Sandboxes  []Sandbox
	Containers []Record
	Images     []string
	Probes     []ProbeResult
	// Ongoing are the operations begun and not yet ended.
	Ongoing []Operation
	// Outcomes are the operations that ended since the last step, in order.
	Outcomes []Outcome
	// Deletion is set once the pod's deletion has been asked for.
	Deletion *Deletion
	// Failure is set once it was decided elsewhere that the pod fails: the node
	// does not admit it, or evicts it.
	Failure *Failure
	// Reported is the status that the API has; it is only consulted for what
	// neither the runtime nor Memory can tell.
	Reported Status
	Memory   Memory
}

// Pod is what must be known of the spec.
type Pod struct {
	Namespace, Name, UID string
	RestartPolicy        RestartPolicy
	// Grace is how long containers may take to stop.
	Grace time.Duration
	// ActiveDeadline is how long the pod may take in all; zero is for ever.
	ActiveDeadline time.Duration
	HostNetwork    bool
	// VolumesReady tells that containers can be given all their volumes.
	VolumesReady   bool
	Init           []Container
	Containers     []Container
	Ephemeral      []Container
	ReadinessGates []ReadinessGate
}

// RestartPolicy is that of a pod or of one container; of a container, empty
// means the pod's. An init container with policy Always is a sidecar.
type RestartPolicy string

// The restart policies.
const (
	Always    RestartPolicy = "Always"
	OnFailure RestartPolicy = "OnFailure"
	Never     RestartPolicy = "Never"
)

// PullPolicy says when a container's image is pulled.
type PullPolicy string

// The pull policies.
const (
	PullAlways       PullPolicy = "Always"
	PullIfNotPresent PullPolicy = "IfNotPresent"
	PullNever        PullPolicy = "Never"
)

// Container is one container of the spec.
type Container struct {
	Name, Image   string
	PullPolicy    PullPolicy
	RestartPolicy RestartPolicy
	// RestartRules are asked before the policy, the first that matches decides.
	RestartRules []RestartRule
	// Hash changes with what a container cannot change while it runs. Empty
	// hashes are not compared.
	Hash               string
	PostStart, PreStop bool
	// StartupProbe and LivenessProbe are nil if there is none.
	StartupProbe, LivenessProbe *Probe
	ReadinessProbe              bool
}

// RestartRule restarts a container for its exit code.
type RestartRule struct {
	Codes []int32
	// NotIn turns the rule to all exit codes but these.
	NotIn bool
}

// Probe is a probe whose failure kills.
type Probe struct {
	// Grace takes the place of the pod's grace when this probe kills; nil leaves
	// the pod's.
	Grace *time.Duration
}

// ReadinessGate is a condition the pod's readiness waits for.
type ReadinessGate struct {
	Type string
	// Status is that of the condition, empty if the pod does not have it.
	Status string
}

// Sandbox is one sandbox of the pod. The one with the highest attempt is the
// pod's, others are left over.
type Sandbox struct {
	ID      string
	Attempt int
	Ready   bool
	// IP is empty if there is none, as with host networking.
	IP      string
	Created time.Time
}

// ContainerState is the state of a container in the runtime.
type ContainerState int

// The states of a container.
const (
	// Created: it has not been started.
	Created ContainerState = iota
	Running
	Exited
	// Unknown: the runtime has lost sight of it; it may still run.
	Unknown
)

// Record is one container as the runtime has it.
type Record struct {
	// ID is the runtime's name of the container, Sandbox that of its sandbox.
	ID, Sandbox string
	// Name and Attempt are from the metadata it was created with. The first
	// attempt is 0.
	Name              string
	Attempt           int
	State             ContainerState
	Hash              string
	Started, Finished time.Time
	ExitCode          int32
	// Reason is the runtime's, such as OOMKilled; empty if it has none.
	Reason, Message string
}

// Result is the result of a probe, counted against its thresholds.
type Result int

// The results of probes.
const (
	// Pending: the thresholds have not been reached in either direction.
	Pending Result = iota
	Success
	Failed
)

// ProbeResult has the results of the probes of one attempt of a container.
type ProbeResult struct {
	Container                    string
	Attempt                      int
	Startup, Liveness, Readiness Result
}

// Outcome is how an operation ended.
type Outcome struct {
	Operation Operation
	At        time.Time
	// Reason is empty if it succeeded, and otherwise as Kubernetes names it:
	// ErrImagePull, CreateContainerError, CreateContainerConfigError,
	// RunContainerError, PostStartHookError, and the like.
	Reason, Message string
}

// Deletion is the wish that the pod be gone.
type Deletion struct {
	// Grace is the deletion grace period. The time it allows counts from when
	// the agent first sees the wish, as clocks of machines differ.
	Grace time.Duration
}

// Failure is a decision that the pod fails.
type Failure struct {
	// Reason is such as OutOfcpu, NodeAffinity or Evicted.
	Reason, Message string
	// Grace takes the place of the pod's; nil leaves the pod's.
	Grace *time.Duration
}
